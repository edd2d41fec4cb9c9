"""The artifact store: contents of artifacts, each once, named by its SHA-256."""
