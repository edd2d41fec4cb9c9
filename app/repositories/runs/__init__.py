"""SQL of runs: lists, filters and the event stream."""
