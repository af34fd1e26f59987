"""Tests of `unlearn.models`, one file per module."""
