"""What pages keep: saved views of the list of runs, and charts by hash."""
