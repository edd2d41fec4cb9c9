"""SQL of users, tokens, projects, the audit log and who may see what."""
