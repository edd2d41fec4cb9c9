"""Studies on real data with the real encoder, through the real queue."""
