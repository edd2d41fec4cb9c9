"""SQL of attempts: their execution, and what they measured and reported."""
