"""What a study is: a question to trained runs, or to none, with its numbers and pictures."""

import abc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Results", "Study"]

Results = Mapping[str, Any]
"""What was found: plain values for JSON."""


class Study(abc.ABC):
    """A value that decides a result: a frozen keyword-only dataclass of specs and plain values."""

    @property
    def trained(self) -> tuple[str, ...]:
        """The experiments whose runs it is about; trained before it begins."""
        return ()

    @abc.abstractmethod
    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Asks the question.

        Args:
          runs: the folder with a finished run for each of ``trained``, called like it.
          pictures: the folder to draw into, which is there.

        Returns:
          What was found, plain values for JSON; what `table` makes rows of.
        """

    @abc.abstractmethod
    def table(self, results: Results) -> Iterator[str]:
        """The lines of a table of what `measure` returned, in Markdown."""
