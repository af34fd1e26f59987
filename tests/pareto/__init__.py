"""Tests of the package `pareto`."""
