"""Stage kinds, one per file: parameters, and an ``ENTRY`` with the traits of the kind."""
