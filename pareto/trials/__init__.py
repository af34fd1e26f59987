"""Trials: which ones there shall be, running one, and what comes of it."""
