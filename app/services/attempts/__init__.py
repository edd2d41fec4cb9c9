"""Attempts: ingestion of their records, leases, and settlement at their end."""
