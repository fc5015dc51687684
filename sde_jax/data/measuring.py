"""Checks of arrays of numbers, and the statistics that scalings are made of."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from sde_jax.data.channel_scaling import ChannelScaling
from sde_jax.data.tables import Table
from sde_jax.lines import listed

ScalingName = Literal["standardize", "range", "log", "none"]
"""Names of the scalings that `ArrayData` measures."""

LEAST_EXAMPLES = 20
PIECE = 2**20
"""Numbers that are read at once."""


@dataclasses.dataclass
class Statistics:
    """Statistics of the channels of some examples, or of their logarithms."""

    count: int
    """Number of values of each channel."""
    mean: np.ndarray
    square: np.ndarray
    """Sum of the squared differences from the mean."""
    least: np.ndarray
    most: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "Statistics":
        """Returns those of ``[count, channels]``."""
        mean = values.mean(axis=0)
        square = ((values - mean) ** 2).sum(axis=0)
        return cls(len(values), mean, square, values.min(axis=0), values.max(axis=0))

    def joined(self, other: "Statistics") -> "Statistics":
        """Returns those of both (Chan et al. 1979)."""
        count = self.count + other.count
        step = other.mean - self.mean
        return Statistics(
            count,
            self.mean + step * (other.count / count),
            self.square + other.square + step**2 * (self.count * other.count / count),
            np.minimum(self.least, other.least),
            np.maximum(self.most, other.most),
        )

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of each channel."""
        deviation: np.ndarray = np.sqrt(self.square / self.count)
        return deviation


def pieces(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the examples in parts of float64, each with the number of its first one."""
    rows = max(PIECE // max(math.prod(values.shape[1:]), 1), 1)
    for first in range(0, len(values), rows):
        yield first, np.asarray(values[first : first + rows], np.float64)


def statistics_of(
    table: Table, chosen: np.ndarray | None = None, *, log: bool = False
) -> Statistics:
    """Returns the statistics of the examples that a mask chooses, and checks all of them.

    Raises:
      ValueError: if there are fewer than 20 examples, some values are missing, infinite or, for
        ``log``, not positive; the message states how many, and the place of the first.
    """
    if len(table.values) < LEAST_EXAMPLES:
        raise ValueError(
            f"{table.where} must hold at least {LEAST_EXAMPLES} examples: it holds "
            f"{len(table.values)}"
        )
    if not table.values[0].size:
        raise ValueError(f"{table.where} holds no numbers: {list(table.values.shape)}")
    _check_values(table, log=log)
    found: Statistics | None = None
    for first, part in pieces(table.values):
        part = part if chosen is None else part[chosen[first : first + len(part)]]
        if not len(part):
            continue
        part = part.reshape(-1, part.shape[-1])
        new = Statistics.of(np.log(part) if log else part)
        found = new if found is None else found.joined(new)
    assert found is not None
    return found


def _check_values(table: Table, *, log: bool) -> None:
    """Raises ValueError for values that have no place in a density."""
    wrong: dict[str, list[Any]] = {}
    for first, part in pieces(table.values):
        kinds = {"missing values": np.isnan(part), "infinite values": np.isinf(part)}
        if log:
            kinds["values that are not positive and have no logarithm"] = part <= 0
        for kind, marked in kinds.items():
            if count := np.count_nonzero(marked):
                place = np.unravel_index(marked.argmax(), marked.shape)
                found = wrong.setdefault(kind, [0, (first + place[0], *place[1:])])
                found[0] += count
    for kind, (count, place) in wrong.items():
        shown = kind if count > 1 else kind.replace("values", "value").replace("are", "is")
        shown = shown if count > 1 else shown.replace("have", "has")
        raise ValueError(
            f"{table.where} has {count:,} {shown}, the first {table.place(place)} (counted from 0)"
        )


def scaling_of(
    table: Table,
    name: ScalingName,
    chosen: np.ndarray | None = None,
    *,
    option: str = "columns",
) -> ChannelScaling:
    """Measures the scaling of a table on the examples that a mask chooses.

    standardize: mean 0 and standard deviation 1. range: from -1 to 1. log: the logarithm,
    standardized. none: the data as they are. Each channel has its own numbers; a whole number k
    counts as the interval from k to k + 1. ``option`` is the one that chooses columns.

    Raises:
      ValueError: as `statistics_of`, if a channel is constant, or if ``log`` is asked of integers.
    """
    integers = np.array(table.integers or False)
    if name == "log" and integers.any():
        raise ValueError(
            f"`scaling` must not be log for {table.where}, which holds integers: use standardize"
        )
    found = statistics_of(table, chosen, log=name == "log")
    _check_constant(table, found, log=name == "log", option=option)
    centers, widths = found.mean + integers / 2, np.hypot(found.deviation, integers / math.sqrt(12))
    if name == "range":
        centers, widths = (
            (found.most + integers + found.least) / 2,
            (found.most + integers - found.least) / 2,
        )
    if name == "none":
        centers, widths = np.zeros_like(centers), np.ones_like(widths)
    single = table.values.dtype.itemsize < 8 and not integers.any()
    return ChannelScaling(
        centers=tuple(centers.tolist()),
        widths=tuple(widths.tolist()),
        log=name == "log",
        integers=table.integers,
        precision="float32" if single else "float64",
    )


def _check_constant(table: Table, found: Statistics, *, log: bool, option: str) -> None:
    """Raises ValueError for channels without a density."""
    constant = np.flatnonzero(found.least == found.most)
    if constant.size:
        names = table.names or range(len(found.least))
        value = found.least[constant[0]]
        value = math.exp(value) if log else value
        what = "column" if table.values.ndim == 2 else "channel"
        shown = listed([names[channel] for channel in constant], separator=", ")
        raise ValueError(
            f"{table.where} has {constant.size} of {len(found.least)} {what}s that are constant in "
            f"the training split: {shown}; the first is {value:g}. `{option}` chooses others"
        )
