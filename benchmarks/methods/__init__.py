"""Every method on one encoder with one budget of training: the table, and the sources' claims."""
