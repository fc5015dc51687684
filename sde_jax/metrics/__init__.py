"""Distances between two sets of points or features, in float64 on the host.

Each says how many rows it used, and its standard error.
"""
