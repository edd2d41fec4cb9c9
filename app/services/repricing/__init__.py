"""Other factors: new versions of price tags, and a preview before a factor is entered."""
