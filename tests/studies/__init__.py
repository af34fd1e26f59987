"""Tests of `studies`, one file per module."""
