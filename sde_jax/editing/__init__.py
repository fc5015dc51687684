"""Conditional sampling and inverse problems with a trained score model."""
