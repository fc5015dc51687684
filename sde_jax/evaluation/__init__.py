"""Measurement of trained runs: samples, metrics, likelihoods, and their reports."""
