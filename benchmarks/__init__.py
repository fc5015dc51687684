"""Benchmarks: each module compares the library with one peer or one reference."""
