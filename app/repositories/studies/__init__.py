"""SQL of studies."""
