"""Charts of pages and reports: pure functions from figures to Vega-Lite, and their drawing."""
