"""View models of the pages, made from what services return; each has text and plain value."""
