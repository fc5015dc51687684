"""Lines for the person who watches a run."""

import sys

import jax
from tqdm import tqdm

__all__ = ["first_line", "report"]


def report(line: str) -> None:
    """Writes one line to stderr, above a progress bar if there is one; first process only."""
    if jax.process_index() == 0:
        tqdm.write(line, file=sys.stderr)


def first_line(error: BaseException, limit: int = 200) -> str:
    """What ``error`` says, in one line of at most ``limit`` characters."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:limit]
