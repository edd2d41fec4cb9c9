"""What several runs show together: comparisons, the frontier, compression."""
