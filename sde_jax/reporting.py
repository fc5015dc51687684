"""Lines for the person who watches a run."""

import sys

import jax
from tqdm import tqdm

__all__ = ["first_line", "report"]

LIMIT = 200


def report(line: str) -> None:
    """Writes one line to stderr, above a progress bar if there is one; first process only."""
    if jax.process_index() == 0:
        tqdm.write(line, file=sys.stderr)


def first_line(text: str) -> str:
    """The first line of ``text``; a long one without its middle."""
    line = next(iter(text.strip().splitlines()), "")
    return line if len(line) <= LIMIT else f"{line[: LIMIT // 2]} ... {line[-LIMIT // 2 :]}"
