"""Tests of `unlearn.datasets`, one file per module."""
