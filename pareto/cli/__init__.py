"""The program `pareto-search`, one file per command."""

from pareto.cli.main import main

__all__ = ["main"]
