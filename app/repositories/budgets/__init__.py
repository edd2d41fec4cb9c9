"""SQL of budgets, and of amounts spent and reserved."""
