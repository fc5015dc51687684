"""Studies: questions to trained runs, or to none, answered with numbers and pictures."""

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sde_jax.evaluation import markdown_table, with_error
from sde_jax.validation import Spec

Results = Mapping[str, Any]
"""Results of a study: plain values for JSON."""


class Study(Spec, abc.ABC):
    """A question: a frozen keyword-only dataclass of specs and plain values."""

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the experiments whose runs it measures, which are trained first.

        They are those of its fields ``classifier`` and ``run``, and of ``runs``, which are pairs of
        a title and a name.
        """
        names = (getattr(self, field, None) for field in ("classifier", "run"))
        return (*filter(None, names), *(name for _, name in getattr(self, "runs", ())))

    @abc.abstractmethod
    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Answers the question.

        Args:
          runs: the folder that holds a finished run for each of ``trained``, under its name.
          pictures: an existing folder for the pictures.

        Returns:
          The results, plain values for JSON, which `table` shows.
        """

    @abc.abstractmethod
    def table(self, results: Results) -> Iterator[str]:
        """Yields the lines of a Markdown table of the results of `measure`."""


@dataclass(frozen=True, kw_only=True)
class Report(Study):
    """A study of one run, whose results are a part of the results of its experiment.

    The results are groups of numbers, and groups of such groups; their table has a row for each.
    """

    run: str
    """Name of the experiment."""

    def table(self, results: Results) -> Iterator[str]:
        """Yields a row for each group of numbers."""
        rows: dict[str, Mapping[str, str]] = {}
        for name, group in results.items():
            if isinstance(group, dict):
                nested = {
                    f"{name}: {key}": part for key, part in group.items() if isinstance(part, dict)
                }
                parts = nested or {name: group}
                rows |= {title: cells(numbers) for title, numbers in parts.items()}
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        yield from markdown_table(
            ["", *columns],
            ([name, *(row.get(column, "") for column in columns)] for name, row in rows.items()),
        )


def cells(numbers: Mapping[str, float]) -> dict[str, str]:
    """Returns the cells of a group: each number by its name, or a value with its error."""
    if "stderr" in numbers:
        return {"value": with_error(numbers["value"], numbers["stderr"])}
    return {name: f"{number:.2g}" for name, number in numbers.items()}
