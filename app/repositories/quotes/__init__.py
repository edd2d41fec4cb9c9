"""SQL of quotes, their scores and the outcomes they are made from."""
