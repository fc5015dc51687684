"""The kernel distance ("KID"): an unbiased estimate of the squared maximum mean discrepancy."""

import math
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from sde_jax.metrics.estimate import Estimate, as_features, check_dimensions, jackknife_stderr

TILE = 4096
"""Rows and columns of the kernel matrix held at once."""


def kernel_distance(
    first: ArrayLike, second: ArrayLike, *, block_size: int | None = 1024
) -> Estimate:
    """Returns the unbiased ``MMD^2`` for the kernel ``(x.y / D + 1)^3``.

    Binkowski et al. 2018, eq. 4. The sets are split into ``ceil(max(n1, n2) / block_size)`` pairs
    of blocks of consecutive rows, of nearly equal sizes, the larger ones last. The value is the
    mean over pairs, with its standard error, as in TF-GAN and score_sde. With one pair, the
    standard error is that of the jackknife over rows; it is up to sqrt(2) too large if both sets
    have the same distribution.

    Args:
      first: features, ``[count, dimension]``.
      second: features of the other set, of the same dimension.
      block_size: approximate largest number of rows of a block; None for one pair.

    Raises:
      ValueError: if a block has fewer than 3 rows, or the dimensions differ.
    """
    x, y = as_features(first, least=3), as_features(second, least=3)
    check_dimensions(x.shape[1], y.shape[1])
    blocks = 1 if block_size is None else math.ceil(max(len(x), len(y)) / block_size)
    if min(len(x), len(y)) // blocks < 3:
        raise ValueError(
            f"blocks must have 3 images or more: `block_size` = {block_size} cuts {len(x)} and "
            f"{len(y)} images into {blocks} blocks. Use larger blocks."
        )
    counts = (len(x), len(y))
    if blocks == 1:
        sums = _sums(x, y)
        return Estimate(sums.discrepancy(), _stderr(sums), counts)
    # Of unequal parts, `array_split` makes the first the larger ones.
    pairs = zip(*(np.array_split(rows[::-1], blocks) for rows in (x, y)), strict=True)
    values = [_sums(*pair).discrepancy() for pair in pairs]
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1)) / blocks**0.5, counts)


class Sums(NamedTuple):
    """Kernel sums of each row, over the other rows of its own set and over the other set."""

    first: np.ndarray
    second: np.ndarray
    first_cross: np.ndarray
    second_cross: np.ndarray

    def discrepancy(self) -> float:
        """Returns the unbiased squared discrepancy."""
        n, m = len(self.first), len(self.second)
        within = self.first.sum() / (n * (n - 1)) + self.second.sum() / (m * (m - 1))
        return float(within - 2 * self.first_cross.sum() / (n * m))


def _stderr(sums: Sums) -> float:
    """Returns the standard error by the jackknife over rows."""
    replicates = []
    pairs = (
        (sums.first, sums.second, sums.first_cross),
        (sums.second, sums.first, sums.second_cross),
    )
    for own, other, cross in pairs:
        n, m = len(own), len(other)
        within = (own.sum() - 2 * own) / ((n - 1) * (n - 2)) + other.sum() / (m * (m - 1))
        replicates.append(within - 2 * (cross.sum() - cross) / ((n - 1) * m))
    return jackknife_stderr(*replicates)


def _sums(x: np.ndarray, y: np.ndarray) -> Sums:
    first, second, (first_cross, second_cross) = _totals(x, x)[0], _totals(y, y)[0], _totals(x, y)
    return Sums(first - _kernel_of_rows(x), second - _kernel_of_rows(y), first_cross, second_cross)


def _totals(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sums of the kernel matrix along its rows and along its columns."""
    rows, columns = np.zeros(len(x)), np.zeros(len(y))
    for i in range(0, len(x), TILE):
        for j in range(0, len(y), TILE):
            tile = (x[i : i + TILE] @ y[j : j + TILE].T / x.shape[1] + 1) ** 3
            rows[i : i + TILE] += tile.sum(axis=1)
            columns[j : j + TILE] += tile.sum(axis=0)
    return rows, columns


def _kernel_of_rows(x: np.ndarray) -> np.ndarray:
    """Returns the diagonal of the kernel matrix of a set."""
    return ((x**2).sum(axis=1) / x.shape[1] + 1) ** 3
