"""Predicted usage of runs, from their FLOPs and similar runs, and its accuracy."""
