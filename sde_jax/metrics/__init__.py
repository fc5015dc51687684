"""Distances between two sets of points or features."""
