"""SQL of energy: hours, the roll-ups that add them up, and the account read from these."""
