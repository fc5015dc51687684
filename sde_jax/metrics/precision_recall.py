"""How real samples look and how much of the data they reach, by the nearest neighbours."""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from sde_jax.metrics.estimate import (
    GROUPS,
    Estimate,
    as_features,
    check_dimensions,
    jackknife_stderr,
)
from sde_jax.metrics.neighbours import distance_tiles, neighbour_distances

__all__ = ["DensityCoverage", "PrecisionRecall", "density_coverage", "precision_recall"]


class PrecisionRecall(NamedTuple):
    """The share of samples near data, and of data near samples."""

    precision: Estimate
    recall: Estimate


class DensityCoverage(NamedTuple):
    """How densely data surround the samples, and the share of data that have a sample near."""

    density: Estimate
    coverage: Estimate


def precision_recall(generated: ArrayLike, real: ArrayLike, *, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2).

    A row is near a set if it is no farther from one of its rows than that row's ``k``-th nearest
    neighbour in the set. Counts name the generated first; errors are of jackknives over tenths.

    Args:
      generated: features of samples, ``[count, dimension]``.
      real: those of data.
      k: the neighbour that bounds a row's surroundings.

    Raises:
      ValueError: if a set has fewer than ``2 k + 2`` rows, or the dimensions differ.
    """
    x, y = _checked(generated, real, k)
    counts = (len(x), len(y))
    return PrecisionRecall(*(_mean(_near(*sets, k), counts) for sets in ((x, y), (y, x))))


def density_coverage(generated: ArrayLike, real: ArrayLike, *, k: int = 5) -> DensityCoverage:
    """Density and coverage (Naeem et al. 2020, eq. 4 and 5).

    Data have a sample near if it is closer than their ``k``-th nearest neighbour among the data;
    the density is the number of data that a sample is near to, over ``k``. Counts and errors are as
    in `precision_recall`.

    Args:
      generated: features of samples, ``[count, dimension]``.
      real: those of data.
      k: the neighbour that bounds the surroundings of data.

    Raises:
      ValueError: as `precision_recall`.
    """
    x, y = _checked(generated, real, k)
    counts = (len(x), len(y))
    radii = _radii(y, k)
    surrounding = np.empty((len(radii), len(x)))
    for rows, tile in distance_tiles(x, y):
        surrounding[:, rows] = [(tile < row).sum(axis=1) / k for row in radii]
    nearest = neighbour_distances(y, x, 1)
    covered = nearest[0] < radii
    stderr = jackknife_stderr(
        (nearest[1:] < radii[0]).mean(axis=1),
        [_without_group(row, group).mean() for group, row in enumerate(covered[1:])],
    )
    coverage = Estimate(float(covered[0].mean()), stderr, counts)
    return DensityCoverage(_mean(surrounding, counts), coverage)


def _checked(generated: ArrayLike, real: ArrayLike, k: int) -> tuple[np.ndarray, np.ndarray]:
    if k < 1:
        raise ValueError(f"`k` must be at least 1: got {k}.")
    x, y = (as_features(features, least=2 * k + 2) for features in (generated, real))
    check_dimensions(x.shape[1], y.shape[1])
    return x, y


def _radii(y: np.ndarray, k: int) -> np.ndarray:
    """`neighbour_distances` within a set; below all distances for the rows that are left out."""
    radii = neighbour_distances(y, None, k)
    for group in range(GROUPS):
        radii[1 + group, group::GROUPS] = -1
    return radii


def _near(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """Whether rows of ``x`` are near ``y``, and near ``y`` without each of its groups."""
    radii = _radii(y, k)
    near = np.empty((len(radii), len(x)), bool)
    for rows, tile in distance_tiles(x, y):
        near[:, rows] = [(tile <= row).any(axis=1) for row in radii]
    return near


def _mean(values: np.ndarray, counts: tuple[int, int]) -> Estimate:
    """The mean over rows of ``values[0]``; the others are without the groups of the other set."""
    without_own = [_without_group(values[0], group).mean() for group in range(GROUPS)]
    stderr = jackknife_stderr(without_own, values[1:].mean(axis=1))
    return Estimate(float(values[0].mean()), stderr, counts)


def _without_group(values: np.ndarray, group: int) -> np.ndarray:
    return values[np.arange(len(values)) % GROUPS != group]
