"""Checks whether a price tag, or the document with a hash, can be recomputed."""
