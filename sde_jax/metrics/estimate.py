"""Estimates with standard errors."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

GROUPS = 10
"""Number of jackknife groups: row ``i`` belongs to group ``i % GROUPS``."""


class Estimate(NamedTuple):
    """An estimate of a statistic, with its standard error and sample sizes."""

    value: float
    stderr: float
    """Standard error over independent draws of all sets; NaN if unknown."""
    counts: tuple[int, ...]
    """Number of rows of each set, in the order of the arguments."""


def jackknife_stderr(*replicates: Sequence[float] | np.ndarray) -> float:
    """Returns the jackknife standard error of a function of independent sets (Efron 1979, section
    3).

    It is ``sqrt(sum over sets of (g - 1) / g * sum_i (r_i - mean(r))^2)``. Deviations are from the
    mean of the replicates, not from the value, which has a smaller bias.

    Args:
      replicates: for each independent set, the value without each of its ``g`` groups. Omit sets
        that are fixed.

    Returns:
      NaN if there are no sets, or one has fewer than two groups.
    """
    if not replicates or any(len(values) < 2 for values in replicates):
        return float("nan")
    variances = [(len(values) - 1) * np.var(values) for values in replicates]
    return float(np.sqrt(np.sum(variances)))


def mean_estimate(values: ArrayLike) -> Estimate:
    """Returns the mean of independent values with its standard error, NaN for a single value."""
    x = np.asarray(values, np.float64)
    stderr = float(x.std(ddof=1)) / len(x) ** 0.5 if len(x) > 1 else float("nan")
    return Estimate(float(x.mean()), stderr, (len(x),))


def as_features(features: ArrayLike, *, least: int = 1) -> np.ndarray:
    """Converts features to float64 on the host.

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
    """Raises `ValueError` if two sets have features of different dimensions."""
    if first != second:
        raise ValueError(
            f"both sets must have features of the same dimension: got {first} and {second}."
        )
