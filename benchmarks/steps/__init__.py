"""Benchmark: what a step of each method costs beside bare PyTorch doing the same arithmetic."""
