"""Backups of a service: its database, artifacts and journals, as one folder of hashed files."""
