"""A run on disk: find its definition, train it, open it, sample and measure it."""
