"""What a run will use, by its arithmetic and by like runs, and how well that was foretold."""
