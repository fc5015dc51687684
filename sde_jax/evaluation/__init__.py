"""What it takes to measure a run."""
