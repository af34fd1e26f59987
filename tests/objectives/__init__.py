"""Tests of `objectives`, one file per module."""
