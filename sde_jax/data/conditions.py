"""Conditions of examples in arrays: a vector or a class label for each."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sde_jax.data.channel_scaling import ChannelScaling
from sde_jax.data.measuring import scaling_of, statistics_of
from sde_jax.data.splits import TEST, TRAIN
from sde_jax.data.tables import Table

MOST_CLASSES = 10_000
FLOAT32_PARTS = 2.0**-18
"""Least deviation of a column over its mean that float32 resolves in at least 32 steps."""


class Conditions(NamedTuple):
    """Conditions of the examples of each split, in the order of the examples."""

    tables: Mapping[str, Table]
    """Rows ``[count, size]``."""
    labels: bool
    """Says whether they are one column of class labels."""

    def rows(self, split: str, numbers: np.ndarray) -> "VectorRows | np.ndarray":
        """Returns the vectors of the examples of these numbers, or their labels."""
        values = self.tables.get(split, self.tables[TRAIN]).values
        if self.labels:
            return np.asarray(values[numbers, 0], np.int32)
        return VectorRows(values, numbers)


def check_conditions(conditions: Conditions, examples: Mapping[str, Table]) -> None:
    """Raises ValueError unless each example has a row of numbers, alike in all splits."""
    width = conditions.tables[TRAIN].values.shape[1:]
    for split, table in conditions.tables.items():
        of = examples[split]
        if table.values.ndim != 2 or table.values.shape[1:] != width:
            raise ValueError(
                f"{table.where} must hold conditions [examples, numbers] of one length: it has the "
                f"shape {list(table.values.shape)}"
            )
        if len(table.values) != len(of.values):
            raise ValueError(
                f"{table.where} must hold a condition for each of {len(of.values):,} examples of "
                f"{of.where}: it holds {len(table.values):,}"
            )


def vector_scaling(conditions: Conditions, chosen: np.ndarray) -> ChannelScaling | None:
    """Measures mean and deviation of conditioning vectors on the examples that a mask chooses.

    Returns:
      Their scaling; None for labels.

    Raises:
      ValueError: if some are missing or infinite, a column is constant, or it varies by less than
        float32 resolves.
    """
    if conditions.labels:
        return None
    table = conditions.tables[TRAIN]
    scaling = scaling_of(table, "standardize", chosen, option="condition_columns")
    if TEST in conditions.tables:
        statistics_of(conditions.tables[TEST])
    for number, (center, width) in enumerate(zip(scaling.centers, scaling.widths, strict=True)):
        if width < FLOAT32_PARTS * abs(center):
            name = number if table.names is None else table.names[number]
            raise ValueError(
                f"{table.where} has a condition, column {name}, that varies by {width:.2g} around "
                f"{center:.8g}, too little for float32: subtract its mean"
            )
    return scaling


def classes_of(conditions: Conditions) -> int | None:
    """Returns one more than the largest label; None for vectors.

    Raises:
      ValueError: if they are not one column of integers from 0 to 9,999.
    """
    if not conditions.labels:
        return None
    for table in conditions.tables.values():
        values = np.asarray(table.values)
        if values.shape[1:] != (1,) or not (values == np.floor(values)).all():
            raise ValueError(f"{table.where} must hold one column of integers, the class labels")
        if values.min() < 0 or values.max() >= MOST_CLASSES:
            raise ValueError(
                f"{table.where} must hold class labels from 0 to {MOST_CLASSES - 1:,}: it holds "
                f"{values.min():g} to {values.max():g}"
            )
    return 1 + int(max(table.values.max() for table in conditions.tables.values()))


class VectorRows:
    """Conditioning vectors of some examples, float32, indexed by arrays of their numbers.

    Args:
      values: the vectors of all examples.
      numbers: the numbers of those in the split.
    """

    def __init__(self, values: np.ndarray, numbers: np.ndarray) -> None:
        self.values, self.numbers = values, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, indices: np.ndarray, /) -> np.ndarray:
        return np.asarray(self.values[self.numbers[indices]], np.float32)
