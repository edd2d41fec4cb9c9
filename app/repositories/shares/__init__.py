"""SQL of share links."""
