"""Charges of attempts: live while they run, as price tags once they have ended."""
