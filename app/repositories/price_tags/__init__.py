"""SQL of price tags, the reports that show them, and the chains of runs that add them up."""
