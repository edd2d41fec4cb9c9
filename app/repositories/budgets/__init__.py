"""SQL of budgets, and of what is spent and reserved."""
