"""Runs: posting, listing, reading and canceling."""
