"""Measures of sets of points or features."""
