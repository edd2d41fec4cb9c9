"""Live data for pages: power, runs, queue and budgets, read once for all readers."""
