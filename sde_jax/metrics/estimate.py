"""A measured number with its standard error, by jackknives."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

__all__ = ["GROUPS", "Estimate", "as_features", "check_dimensions", "jackknife_stderr"]

GROUPS = 10
"""Of the rows of a set, which a jackknife leaves out in turn: row ``i`` is of ``i % GROUPS``."""


class Estimate(NamedTuple):
    """What was measured, of how many images, and how far another draw of them would move it."""

    value: float
    stderr: float
    """Standard error over independent draws of all sets; NaN where it is unknown."""
    counts: tuple[int, ...]
    """Rows used of each set, in the order of the arguments."""


def jackknife_stderr(*replicates: Sequence[float] | np.ndarray) -> float:
    """``sqrt(sum over sets of (g - 1) / g * sum_i (r_i - mean(r))^2)`` (Efron 1979, section 3).

    The replicates are spread about their own mean: it is not the value, which is biased less than
    they are.

    Args:
      replicates: for each of the independent sets, the value without each of its ``g`` parts. Sets
        that are known exactly are left out.

    Returns:
      NaN if there are no sets, or one has fewer than two parts.
    """
    if not replicates or any(len(values) < 2 for values in replicates):
        return float("nan")
    variances = [(len(values) - 1) * np.var(values) for values in replicates]
    return float(np.sqrt(np.sum(variances)))


def as_features(features: ArrayLike, *, least: int = 1) -> np.ndarray:
    """The features in float64 on the host.

    Raises:
      ValueError: if they are not rows of finite numbers, or fewer than ``least``.
    """
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"features must be rows of numbers: got an array of shape {x.shape}.")
    if len(x) < least:
        raise ValueError(f"this needs {least} images or more: got {len(x)}.")
    if not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])
        raise ValueError(f"features must be finite: those of image {row} are not.")
    return x


def check_dimensions(first: int, second: int) -> None:
    """Refuses two sets whose features differ in number."""
    if first != second:
        raise ValueError(
            f"both sets must have features of the same dimension: got {first} and {second}."
        )
