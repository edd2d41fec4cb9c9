"""How readings are stored once they no longer change: in columns, with their levels."""
