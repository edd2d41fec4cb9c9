"""People, what they may use, how they sign in, and the log of what they changed."""
