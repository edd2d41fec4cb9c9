"""Effect of open and planned runs on budgets."""
