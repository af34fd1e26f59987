"""Tests of `unlearn`, one file per module."""
