"""Budgets: kept by admins, asked at the door, watched while runs go on."""
