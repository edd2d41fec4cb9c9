"""Studies: searches over runs of one job. Pure; the service starts what they decide."""
