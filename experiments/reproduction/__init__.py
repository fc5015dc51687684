"""Trains and measures experiments and studies, and renders their tables."""
