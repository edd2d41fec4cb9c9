"""SQL of attempts: their execution, measurements and reports."""
