"""View models of the pages of administrators."""
