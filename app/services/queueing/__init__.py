"""Queued runs: why each waits, and when it is expected to start."""
