"""What is claimed about speed and exactness, measured."""
