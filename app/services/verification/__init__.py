"""Checks whether a price tag, or what a hash stands for, can be recomputed."""
