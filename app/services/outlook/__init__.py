"""What open and planned runs will do to budgets."""
