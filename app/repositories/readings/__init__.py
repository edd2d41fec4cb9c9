"""SQL of readings: rows, packed blocks and the power series from both."""
