"""Data sets: what they are to the model, and where they come from."""
