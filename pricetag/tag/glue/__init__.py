"""The GLUE table: models of runs, rows, scores, averages, and costs."""
