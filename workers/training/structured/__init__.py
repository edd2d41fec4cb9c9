"""Structured pruning: heads and neurons that are cut out of the matrices of an encoder."""
