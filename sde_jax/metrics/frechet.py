"""The Fréchet distance: squared Wasserstein-2 distance of Gaussians fitted to two sets."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sde_jax.metrics.estimate import check_dimensions, jackknife_stderr
from sde_jax.metrics.moments import Moments, merge, without


@dataclass(frozen=True, eq=False)
class FittedGaussian:
    """A Gaussian fitted to features; published statistics have mean and covariance only."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int | None = None
    """Number of images it was fitted to; None if unknown."""
    groups: tuple[Moments, ...] = ()
    """Moments of the jackknife groups; empty for fixed statistics."""


def fit_gaussian(*groups: Moments) -> FittedGaussian:
    """Fits a Gaussian to all groups together.

    Raises:
      ValueError: if there are fewer than two images.
    """
    whole = merge(*groups)
    return FittedGaussian(whole.mean, whole.covariance, whole.count, groups)


class FrechetDistance(NamedTuple):
    """A Fréchet distance with its standard error and finite-sample bias."""

    value: float
    stderr: float
    """Standard error over draws of the sets that have groups; NaN if no set has two groups."""
    bias: float
    """The `finite_sample_bias` of two sets of these sizes, both from the second Gaussian; NaN if a
    size is unknown."""
    counts: tuple[int | None, int | None]
    """Number of images of each set; None if unknown."""
    ranks: tuple[int, int]
    """Ranks of the covariances."""
    dimension: int

    @property
    def rank_deficient(self) -> bool:
        """True if a covariance is singular, mostly because of too few images."""
        return min(self.ranks) < self.dimension


def frechet_distance(first: FittedGaussian, second: FittedGaussian) -> FrechetDistance:
    """Returns ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`` (Dowson and Landau 1982, eq. 4).

    The trace of the square root is the sum of the square roots of the eigenvalues of the symmetric
    matrix ``R1^T C2 R1``, where ``C1 = R1 R1^T``. Eigenvalues at rounding level count as zero,
    which makes the result exact for singular covariances; these cause a warning.

    Args:
      first: the Gaussian of generated images.
      second: the Gaussian of data.

    Raises:
      ValueError: if the dimensions differ.
    """
    check_dimensions(first.mean.size, second.mean.size)
    variances, root = _root(second.covariance)
    ranks = (_rank(first), min(len(variances), _most(second)))
    distance = FrechetDistance(
        value=_squared_distance(first.mean, first.covariance, second, root),
        stderr=_stderr(first, second, root),
        bias=finite_sample_bias(variances, first.count, second.count),
        counts=(first.count, second.count),
        ranks=ranks,
        dimension=first.mean.size,
    )
    if distance.rank_deficient:
        warnings.warn(
            f"the covariances of {distance.dimension} features have ranks {ranks[0]} and "
            f"{ranks[1]}: the Fréchet distance is that of degenerate Gaussians. Use more images.",
            stacklevel=2,
        )
    return distance


def finite_sample_bias(variances: np.ndarray, first: int | None, second: int | None) -> float:
    """Returns the mean Fréchet distance of two sets from one Gaussian: that of a perfect model.

    The means contribute ``tr C (1/n1 + 1/n2)``. The contribution of the covariances ``A`` and
    ``B``, in the eigenbasis of ``C``, is averaged over a few Wishart draws by Bartlett's
    decomposition, with a fixed seed. With more images than twice the dimension, the second-order
    expansion ``sum_ij (A - B)_ij^2 / 2 (c_i + c_j)``, whose mean is known, serves as a control
    variate. For unit variances and many images the result is ``D (D + 5) / 2n`` for two sets of
    ``n``.

    Args:
      variances: the nonzero eigenvalues ``c`` of ``C``.
      first: number of images of one set; None gives NaN.
      second: number of images of the other set.
    """
    if first is None or second is None:
        return math.nan
    freedoms, dimension = (first - 1, second - 1), len(variances)
    sums = variances[:, None] + variances
    generator = np.random.default_rng(0)
    distances, expansions = [], []
    for _ in range(max(2, 4096 // max(dimension, 1) ** 2)):
        roots = [_wishart_root(generator, n, dimension) * np.sqrt(variances / n) for n in freedoms]
        overlap = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
        distances.append(sum((root**2).sum() for root in roots) - 2 * overlap)
        difference = roots[0].T @ roots[0] - roots[1].T @ roots[1]
        expansions.append((difference**2 / sums).sum() / 2)
    bias = variances.sum() * (1 / first + 1 / second) + np.mean(distances)
    if min(freedoms) >= 2 * dimension:
        expected = (np.outer(variances, variances) / sums).sum() + variances.sum() / 2
        expected *= sum(1 / freedom for freedom in freedoms) / 2
        bias += expected - np.mean(expansions)
    return float(bias)


def _wishart_root(generator: np.random.Generator, freedom: int, dimension: int) -> np.ndarray:
    """Returns an ``R`` such that ``R^T R`` is Wishart with ``freedom`` degrees of freedom."""
    if freedom < dimension:
        return generator.standard_normal((freedom, dimension))
    root = np.triu(generator.standard_normal((dimension, dimension)), 1)
    np.fill_diagonal(root, np.sqrt(generator.chisquare(freedom - np.arange(dimension))))
    return root


def _squared_distance(
    mean: np.ndarray, covariance: np.ndarray, fixed: FittedGaussian, root: np.ndarray
) -> float:
    """Returns the distance of a Gaussian from a fixed one, given a root of the fixed covariance."""
    offset = mean - fixed.mean
    traces = np.trace(covariance) + np.trace(fixed.covariance)
    overlaps = _without_noise(np.linalg.eigvalsh(root.T @ covariance @ root))
    return float(offset @ offset + traces - 2 * np.sqrt(overlaps).sum())


def _stderr(first: FittedGaussian, second: FittedGaussian, root: np.ndarray) -> float:
    """Returns the standard error by the jackknife over the groups of each set that has groups."""
    replicates = []
    for varied, fixed in ((first, second), (second, first)):
        if varied.groups:
            fixed_root = root if fixed is second else _root(fixed.covariance)[1]
            replicates.append([*_replicates(varied.groups, fixed, fixed_root)])
    return jackknife_stderr(*replicates)


def _replicates(
    groups: Sequence[Moments], fixed: FittedGaussian, root: np.ndarray
) -> Iterator[float]:
    """Yields the distance without each group; nothing if that would leave fewer than two images."""
    whole = merge(*groups)
    if len(groups) > 1 and all(whole.count - group.count > 1 for group in groups):
        for group in groups:
            others = without(whole, group)
            yield _squared_distance(others.mean, others.covariance, fixed, root)


def _root(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nonzero eigenvalues of a covariance, and an ``R`` with ``R R^T`` equal to it."""
    variances, axes = np.linalg.eigh(covariance)
    kept = _without_noise(variances) > 0
    return variances[kept], axes[:, kept] * np.sqrt(variances[kept])


def _without_noise(eigenvalues: np.ndarray) -> np.ndarray:
    """Sets eigenvalues of a covariance to zero where they are at rounding level."""
    largest = eigenvalues.max(initial=0)
    noise = largest * len(eigenvalues) * np.finfo(np.float64).eps
    return np.where(eigenvalues > noise, eigenvalues, 0)


def _rank(gaussian: FittedGaussian) -> int:
    variances = _without_noise(np.linalg.eigvalsh(gaussian.covariance))
    return min(int(np.count_nonzero(variances)), _most(gaussian))


def _most(gaussian: FittedGaussian) -> int:
    """Returns the largest possible rank of the covariance."""
    dimension = len(gaussian.mean)
    return dimension if gaussian.count is None else min(gaussian.count - 1, dimension)
