"""The lab at a glance: power, use and waste, and budgets that will soon be used up."""
