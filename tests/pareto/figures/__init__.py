"""Tests of `pareto.figures`."""
