"""Says how long work will take, once its first part is done."""

import time
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from sde_jax.reporting import report

LONG = 60.0
"""Seconds from which the rest of the work is announced."""


class Costly(Protocol):
    """A part of the work: results of some examples."""

    @property
    def nfe(self) -> Any:
        """Evaluations of the network for each example."""


Part = TypeVar("Part", bound=Costly)


def announced(parts: Iterator[Part], total: int, *, what: str, less: str) -> Iterator[Part]:
    """Yields the parts; after the first one, a line on stderr tells how long the rest will take.

    Args:
      parts: the work, in parts.
      total: the number of examples of all parts together.
      what: the examples, such as "samples".
      less: how to ask for less work.
    """
    started = time.perf_counter()
    for number, part in enumerate(parts):
        done = len(part.nfe)
        seconds = (time.perf_counter() - started) * (total - done) / done
        if number == 0 and seconds >= LONG:
            evaluations, duration = f"{part.nfe.mean():,.0f}", tqdm.format_interval(seconds)
            report(
                f"{total - done:,} more {what} of about {evaluations} evaluations will take "
                f"{duration} at the pace of the first {done:,}, compilation included: {less}"
            )
        yield part
