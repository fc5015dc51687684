"""Experiments and studies from their beginning to their rows in the tables."""
