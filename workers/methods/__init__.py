"""Techniques, one a file: a pure function on a model or a batch, and a thin plug-in round it."""
