"""Rows of the table: one comparison of the library with a peer."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.conditions import Conditions
from benchmarks.roofline import Share


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """Options that every benchmark receives."""

    quick: bool = False
    """Run few repeats of small cases; all benchmarks together then take minutes."""
    runs: Path | None = None
    """Folder of trained runs, each named after its experiment."""
    data_dir: Path | None = None
    """Folder where tensorflow_datasets keeps prepared data sets."""


class Spread(NamedTuple):
    """A median with its quartiles, or a value plus and minus its standard error."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, stderr: float = 0.0) -> "Spread":
        """Returns a value plus and minus its standard error."""
        return cls(value, value - stderr, value + stderr)

    def scaled(self, factor: float) -> "Spread":
        """Returns the spread with all three numbers multiplied by ``factor``."""
        return Spread(*(factor * value for value in self))


def spread(values: Sequence[float]) -> Spread:
    """Returns the median and quartiles of repeats."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(statistics.median(values), low, high)


@dataclass(frozen=True, kw_only=True)
class Row:
    """Compares a figure of this project with that of a peer.

    Raises:
      ValueError: unless the row has either both figures or the reason why one is missing.
    """

    case: str
    """The measured task, with its sizes and precision."""
    unit: str
    """Unit of both figures."""
    ours: Spread | None = None
    """Figure of the library; None where an input of the measurement is missing."""
    peer: str
    """Name of the peer."""
    theirs: Spread | None = None
    """Figure of the peer."""
    missing: str = ""
    """Reason for a missing figure, with the remedy."""
    ratio: Spread | None = None
    """Factor by which the library is better; for timings, the median of ratios of pairs."""
    at_least: float | None = None
    """Target of the ratio."""
    checked: str
    """Correctness check of our result, with its number."""
    compile_seconds: float | None = None
    """Compile time of our program; timings exclude it."""
    peak_bytes: int | None = None
    """Memory that XLA plans for our program: arguments, results and temporaries."""
    roofline: Share | None = None
    """Share of the roofline that our program reaches."""
    conditions: Conditions | None = None
    """Conditions of a timing on a CPU."""

    def __post_init__(self) -> None:
        if bool(self.missing) == (self.ours is not None and self.theirs is not None):
            raise ValueError(
                "a row needs either both figures or a reason in `missing`: got "
                f"ours={self.ours}, theirs={self.theirs}, missing={self.missing!r}."
            )

    @property
    def reached(self) -> bool | None:
        """True if the ratio reaches its target; None without a target, without a ratio, or on a
        busy machine."""
        if self.ratio is None or self.at_least is None or self.busy:
            return None
        return self.ratio.value >= self.at_least

    @property
    def busy(self) -> bool:
        """True if the machine was too busy for the ratio to count."""
        return self.conditions is not None and self.conditions.busy

    def cells(self) -> list[str]:
        """Returns the cells under `HEADINGS`."""
        target = "" if self.at_least is None else f"{self.at_least:.3g}"
        verdict = {None: "", True: "reached", False: "**missed**"}[self.reached]
        if self.busy:
            verdict = "busy, not counted"
        return [
            self.case,
            format_spread(self.ours, self.unit),
            self.peer,
            format_spread(self.theirs, self.unit) or f"missing: {self.missing}",
            format_spread(self.ratio, ""),
            f"{target} {verdict}".strip(),
            "" if self.conditions is None else str(self.conditions),
            "" if self.compile_seconds is None else f"{format_number(self.compile_seconds)} s",
            "" if self.peak_bytes is None else f"{format_number(self.peak_bytes / 2**20)} MiB",
            "" if self.roofline is None else str(self.roofline),
            self.checked,
        ]


def not_installed(error: ModuleNotFoundError) -> str:
    """Returns the reason in ``missing`` for a peer that cannot be imported."""
    return f"no {error.name}: pip install -e '.[benchmark]'"


HEADINGS = (
    *("case", "ours", "peer", "peer's", "times better", "at least", "machine"),
    *("to compile", "memory", "roofline", "checked"),
)


def format_spread(spread: Spread | None, unit: str) -> str:
    """Formats a spread to three digits, with its ends in brackets if they differ visibly."""
    if spread is None:
        return ""
    distinct = spread.high - spread.low > 5e-3 * abs(spread.value)
    ends = f" ({format_number(spread.low)} to {format_number(spread.high)})" if distinct else ""
    return f"{format_number(spread.value)}{ends} {unit}".strip()


def format_number(value: float) -> str:
    """Formats a number to three digits, and without an exponent where that is readable."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.2e}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
