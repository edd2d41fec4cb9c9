"""What attempts are charged: live while they run, as price tags once they have ended."""
