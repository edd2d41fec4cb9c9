"""Pages: from the request to a view model, to a template."""
