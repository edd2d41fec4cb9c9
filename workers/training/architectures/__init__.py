"""Arithmetic of architectures that transformers does not have."""
