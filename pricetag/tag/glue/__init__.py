"""The table of GLUE: models of runs, rows, scores, averages, and what each cost."""
