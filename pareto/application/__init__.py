"""Carrying out a real forget request, and the record of it."""
