"""Factors and shared layers: the checks before, and the decomposition."""
