"""Measurements of other tools, read from their files and records, as journals of runs."""
