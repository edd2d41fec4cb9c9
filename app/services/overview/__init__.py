"""The lab at a glance: what it draws, uses and wastes, and what is about to break a budget."""
