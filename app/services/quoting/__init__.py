"""Predictions of what a run will use, from its FLOPs and similar runs, and their accuracy."""
