"""Techniques, one per file: a pure function on a model or a batch, and a thin plug-in around it."""
