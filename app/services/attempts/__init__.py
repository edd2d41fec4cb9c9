"""The records of an attempt: taken in, leased, settled at its end."""
