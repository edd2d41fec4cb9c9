"""Insights over several runs: comparisons, the frontier, compression."""
