"""Status lines for the user."""

import sys

import jax
from tqdm import tqdm


def report(line: str) -> None:
    """Writes one line to stderr, above any progress bar; only the first process writes."""
    if jax.process_index() == 0:
        tqdm.write(line, file=sys.stderr)
