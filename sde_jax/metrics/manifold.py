"""Fidelity and diversity of samples by nearest neighbours: precision, recall, density, coverage."""

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


class PrecisionRecall(NamedTuple):
    """The share of samples near the data, and of data near the samples."""

    precision: Estimate
    recall: Estimate


class DensityCoverage(NamedTuple):
    """The density of data around samples, and the share of data with a sample nearby."""

    density: Estimate
    coverage: Estimate


def precision_recall(generated: ArrayLike, real: ArrayLike, *, k: int = 3) -> PrecisionRecall:
    """Returns improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2).

    A row is near a set if, for some row of the set, it is no farther than that row's ``k``-th
    nearest neighbour in the set. Counts are of generated, then real rows. Standard errors are by
    the jackknife over `GROUPS` groups.

    Args:
      generated: features of samples, ``[count, dimension]``.
      real: features of data.
      k: the neighbour that sets a row's radius.

    Raises:
      ValueError: if a set has fewer than ``2 k + 2`` rows, or the dimensions differ.
    """
    x, y = _checked(generated, real, k)
    counts = (len(x), len(y))
    return PrecisionRecall(*(_mean(_near(*sets, k), counts) for sets in ((x, y), (y, x))))


def density_coverage(generated: ArrayLike, real: ArrayLike, *, k: int = 5) -> DensityCoverage:
    """Returns density and coverage (Naeem et al. 2020, eq. 4 and 5).

    The radius of a real row is the distance of its ``k``-th nearest neighbour in the data. It is
    covered if a sample lies within its radius. The density is the mean number of real rows whose
    radius covers a sample, over ``k``. Counts and standard errors are as in `precision_recall`.

    Args:
      generated: features of samples, ``[count, dimension]``.
      real: features of data.
      k: the neighbour that sets the radius of a real row.

    Raises:
      ValueError: as for `precision_recall`.
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
    """Returns `neighbour_distances` within a set, and -1 for rows of the group that is left out."""
    radii = neighbour_distances(y, None, k)
    for group in range(GROUPS):
        radii[1 + group, group::GROUPS] = -1
    return radii


def _near(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """Returns which rows of ``x`` are near ``y``, and near ``y`` without each of its groups."""
    radii = _radii(y, k)
    near = np.empty((len(radii), len(x)), bool)
    for rows, tile in distance_tiles(x, y):
        near[:, rows] = [(tile <= row).any(axis=1) for row in radii]
    return near


def _mean(values: np.ndarray, counts: tuple[int, int]) -> Estimate:
    """Returns the mean of ``values[0]``; the other rows leave out a group of the other set."""
    without_own = [_without_group(values[0], group).mean() for group in range(GROUPS)]
    stderr = jackknife_stderr(without_own, values[1:].mean(axis=1))
    return Estimate(float(values[0].mean()), stderr, counts)


def _without_group(values: np.ndarray, group: int) -> np.ndarray:
    return values[np.arange(len(values)) % GROUPS != group]
