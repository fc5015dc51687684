"""What a benchmark finds: a figure of ours beside that of a peer."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

__all__ = ["Asked", "Row", "Spread", "not_installed", "spread"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a benchmark is asked for."""

    quick: bool = False
    """Few repeats of small cases, of which all benchmarks together take minutes."""
    runs: Path | None = None
    """A folder of trained runs, each called like its experiment."""
    data_dir: Path | None = None
    """Where tensorflow_datasets keeps prepared data sets."""


class Spread(NamedTuple):
    """A median with its quartiles, or a value with its standard error on both sides."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, stderr: float = 0.0) -> "Spread":
        """A value with its standard error."""
        return cls(value, value - stderr, value + stderr)

    def scaled(self, factor: float) -> "Spread":
        """In other units, of which ``factor`` make one."""
        return Spread(*(factor * value for value in self))


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of repeats."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(statistics.median(values), low, high)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison.

    Raises:
      ValueError: unless there is either a figure of the peer or why there is none.
    """

    case: str
    """What was measured, with its sizes and precision."""
    unit: str
    """Of both figures."""
    ours: Spread | None = None
    """None where something is missing that our own figure needs."""
    peer: str
    """What it is compared with."""
    theirs: Spread | None = None
    missing: str = ""
    """Why a figure is not there, and what would bring it."""
    ratio: Spread | None = None
    """How many times better ours is; of timings, the median of the ratios of pairs."""
    at_least: float | None = None
    """What the ratio ought to be."""
    checked: str
    """What showed that ours is right, with the figure that showed it."""
    compile_seconds: float | None = None
    """What compiling ours took, which its timings do not hold."""
    peak_bytes: int | None = None
    """What XLA says that ours takes: arguments, results and all in between."""

    def __post_init__(self) -> None:
        if bool(self.missing) == (self.ours is not None and self.theirs is not None):
            raise ValueError(
                "a row has both figures, or it says in `missing` why not: got "
                f"ours={self.ours}, theirs={self.theirs}, missing={self.missing!r}."
            )

    @property
    def reached(self) -> bool | None:
        """Whether the ratio is what it ought to be; None where nothing is asked or known."""
        if self.ratio is None or self.at_least is None:
            return None
        return self.ratio.value >= self.at_least

    def cells(self) -> list[str]:
        """Its cells in a table of `HEADINGS`."""
        wanted = "" if self.at_least is None else f"{self.at_least:.3g}"
        verdict = {None: "", True: "reached", False: "**missed**"}[self.reached]
        return [
            self.case,
            figure(self.ours, self.unit),
            self.peer,
            figure(self.theirs, self.unit) or f"missing: {self.missing}",
            figure(self.ratio, ""),
            f"{wanted} {verdict}".strip(),
            "" if self.compile_seconds is None else f"{number(self.compile_seconds)} s",
            "" if self.peak_bytes is None else f"{number(self.peak_bytes / 2**20)} MiB",
            self.checked,
        ]


def not_installed(error: ModuleNotFoundError) -> str:
    """What a row says in ``missing`` of a peer that cannot be imported."""
    return f"no {error.name}: pip install -e '.[benchmark]'"


HEADINGS = (
    *("case", "ours", "peer", "peer's", "times better", "at least"),
    *("to compile", "memory", "checked"),
)


def figure(value: Spread | None, unit: str) -> str:
    """A spread to three digits, its ends in brackets where they can be told apart."""
    if value is None:
        return ""
    apart = value.high - value.low > 5e-3 * abs(value.value)
    ends = f" ({number(value.low)} to {number(value.high)})" if apart else ""
    return f"{number(value.value)}{ends} {unit}".strip()


def number(value: float) -> str:
    """Three digits, or all of those before the point, without a power of ten where it can be."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.2e}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
