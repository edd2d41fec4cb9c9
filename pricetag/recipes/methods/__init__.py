"""Stage kinds, one a file: parameters, and an ``ENTRY`` that says how its stages behave."""
