"""Papers: collections of runs, frozen and reported as a whole."""
