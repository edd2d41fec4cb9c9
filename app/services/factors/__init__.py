"""Factors of a site as entered, and which of them apply at a given time."""
