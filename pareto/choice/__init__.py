"""Choosing a trial by requirements, and looking whether it is as good as it seemed."""
