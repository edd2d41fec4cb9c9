"""Factors of a site, as they were entered, and which of them hold at a time."""
