"""Experiments and studies, from training to the rows of the tables."""
