"""Given configurations on several draws of a problem: comparisons and sweeps."""
