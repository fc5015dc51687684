"""Memorization: distances of samples to the training examples, compared with held-out data."""

import math
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from sde_jax.arrays import Float
from sde_jax.metrics.estimate import Estimate, jackknife_stderr
from sde_jax.metrics.nearest import Nearest, nearest_neighbours
from sde_jax.metrics.roc import placements

NEAR = 0.01
"""Quantile of the held-out distances that defines a near copy."""
REPLICATES = 200
"""Bootstrap replicates."""


class Closeness(NamedTuple):
    """Distances to the training examples of samples, compared with those of held-out examples."""

    closer: Estimate
    """Probability that a sample is closer to its nearest training example than a held-out example
    is to its own; ties count half. It is one half if nothing is memorized."""
    z: float
    """Standardized Mann-Whitney statistic: about unit Gaussian if samples are distributed as
    held-out examples, large if they are closer."""
    p_value: float
    """One-sided p-value of ``z``."""
    near: Estimate
    """Share of samples closer to a training example than the nearest hundredth of held-out
    examples."""
    near_expected: float
    """Expected share if samples are distributed as held-out examples."""


class Memorization(NamedTuple):
    """The nearest training examples of samples, and the comparison of their distances."""

    samples: Nearest
    """Nearest training examples of each sample."""
    held_out: Nearest
    """Nearest training example of each held-out example."""
    closeness: Closeness


def detect_memorization(
    samples: ArrayLike, held_out: ArrayLike, training: ArrayLike, *, neighbours: int = 1
) -> Memorization:
    """Compares the distances of samples and of held-out examples to the nearest training examples.

    Errors and tests are over draws of samples and held-out examples; the training set is fixed.
    They assume held-out examples from the training distribution. Held-out data from other writers
    or another source are farther away and make samples look close.

    Args:
      samples: images, points or features, ``[count, *shape]``.
      held_out: data that were not trained on.
      training: all training data.
      neighbours: number of neighbours per sample.

    Raises:
      ValueError: as for `nearest_neighbours`.
    """
    of_samples = nearest_neighbours(np.asarray(samples), np.asarray(training), neighbours)
    of_held_out = nearest_neighbours(np.asarray(held_out), np.asarray(training))
    distances = (found.distances[:, 0] for found in (of_samples, of_held_out))
    return Memorization(of_samples, of_held_out, closeness(*distances))


def closeness(
    samples: Float[np.ndarray, "samples"], held_out: Float[np.ndarray, "held_out"]
) -> Closeness:
    """Compares distances to the nearest training examples (Meehan et al. 2020, section 3.1).

    ``closer = U / (n m)`` with the Mann-Whitney statistic ``U`` of ``n`` samples and ``m`` held-out
    examples. Its variance without memorization, for ties of ``t``, is
    ``(n + m + 1 - sum (t^3 - t) / ((n + m) (n + m - 1))) / (12 n m)``. The standard error of
    ``closer`` is that of the jackknife over single examples, that of ``near`` of a bootstrap.

    Args:
      samples: distance of each sample.
      held_out: distance of each held-out example.
    """
    n, m = len(samples), len(held_out)
    farther, nearer = placements(held_out, samples), 1 - placements(samples, held_out)
    closer = float(farther.mean())
    stderr = jackknife_stderr(*(_without_each(shares) for shares in (farther, nearer)))
    _, ties = np.unique(np.concatenate([samples, held_out]), return_counts=True)
    total = n + m
    tied = float((ties.astype(float) ** 3 - ties).sum()) / (total * (total - 1))
    deviation = math.sqrt((total + 1 - tied) / (12 * n * m))
    z = (closer - 0.5) / deviation if deviation else 0.0
    near = _near(samples, held_out)
    generator = np.random.default_rng(0)
    replicates = [
        _near(generator.choice(samples, n), generator.choice(held_out, m))
        for _ in range(REPLICATES)
    ]
    return Closeness(
        closer=Estimate(closer, stderr, (n, m)),
        z=z,
        p_value=math.erfc(z / math.sqrt(2)) / 2,
        near=Estimate(near, float(np.std(replicates)), (n, m)),
        near_expected=_rank(m) / (m + 1),
    )


def _without_each(values: np.ndarray) -> np.ndarray:
    """Returns the mean without each value."""
    return (values.sum() - values) / (len(values) - 1) if len(values) > 1 else np.empty(0)


def _rank(count: int) -> int:
    """Returns the rank, from 1 on, of the held-out distance that bounds near copies."""
    return max(1, math.floor(NEAR * (count + 1)))


def _near(samples: np.ndarray, held_out: np.ndarray) -> float:
    bound = np.partition(held_out, _rank(len(held_out)) - 1)[_rank(len(held_out)) - 1]
    return float((samples < bound).mean())
