"""SQL of the charts that pages show."""
