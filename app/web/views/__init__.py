"""View models of the pages, from the results of services; each has text and plain value."""
