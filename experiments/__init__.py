"""Experiments: one module each, with a value ``experiment`` that says everything about it."""
