"""SQL of papers."""
