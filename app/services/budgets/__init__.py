"""Budgets: managed by admins, checked on admission, watched while runs are running."""
