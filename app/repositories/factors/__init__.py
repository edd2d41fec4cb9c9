"""SQL of sites and their entries: factors, prices and carbon series; append-only."""
