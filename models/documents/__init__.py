"""How large JSON documents are stored."""
