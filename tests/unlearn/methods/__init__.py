"""Tests of `unlearn.methods`, one file per method."""
