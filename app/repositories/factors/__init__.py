"""SQL of sites and of what they enter: factors, prices and carbon series; append-only."""
