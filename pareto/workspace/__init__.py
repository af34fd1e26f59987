"""Where that is kept: places for files, artifacts with checksums, and who may build."""
