"""Whether samples are closer to the training examples than other data are."""

import math
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from sde_jax.arrays import Float
from sde_jax.metrics.estimate import Estimate, jackknife_stderr
from sde_jax.metrics.nearest import Nearest, nearest

__all__ = ["Closeness", "Memorization", "closeness", "memorization"]

NEAR = 0.01
"""Share of held-out examples that are very near to a training example."""
REPLICATES = 200
"""Of the bootstrap."""


class Closeness(NamedTuple):
    """How much closer to the training examples samples are than held-out examples."""

    closer: Estimate
    """The probability that a sample is closer to its nearest training example than a held-out
    example is to its own; of equal distances half count. One half where nothing is memorized."""
    z: float
    """The standardized Mann-Whitney statistic of it: about unit Gaussian where samples are
    distributed as held-out examples, large where they are closer."""
    p_value: float
    """The probability of such a ``z`` or a larger one where samples are distributed so."""
    near: Estimate
    """The share of samples that are closer to a training example than the nearest hundredth of
    held-out examples."""
    near_expected: float
    """What it would be where samples are distributed as held-out examples."""


class Memorization(NamedTuple):
    """The nearest training examples of samples, and how their distances compare."""

    samples: Nearest
    """Of each sample, several."""
    held_out: Nearest
    """Of each held-out example, one."""
    closeness: Closeness


def memorization(
    samples: ArrayLike, held_out: ArrayLike, training: ArrayLike, *, neighbours: int = 1
) -> Memorization:
    """Finds the nearest training examples of samples and of held-out examples, and compares.

    The training examples are what they are: errors and test are over draws of the others. They ask
    whether samples and held-out examples are of one distribution, so that held-out examples that
    differ from those of training by themselves (other writers, another source) look farther away.

    Args:
      samples: images, points or features, ``[count, *shape]``.
      held_out: data that were not trained on.
      training: all that were.
      neighbours: of each sample.

    Raises:
      ValueError: as `nearest`.
    """
    of_samples = nearest(np.asarray(samples), np.asarray(training), neighbours)
    of_held_out = nearest(np.asarray(held_out), np.asarray(training))
    distances = (found.distances[:, 0] for found in (of_samples, of_held_out))
    return Memorization(of_samples, of_held_out, closeness(*distances))


def closeness(
    samples: Float[np.ndarray, "samples"], held_out: Float[np.ndarray, "held_out"]
) -> Closeness:
    """Compares distances to the nearest training examples (Meehan et al. 2020, section 3.1).

    ``closer = U / (n m)`` with the Mann-Whitney statistic ``U`` of ``n`` samples and ``m`` held-out
    examples, whose variance without memorization, for ties of ``t``, is ``n m / 12 (n + m + 1 -
    sum (t^3 - t) / ((n + m) (n + m - 1)))``. The standard error of ``closer`` is that of the
    jackknife over single examples, that of ``near`` of a bootstrap.

    Args:
      samples: of each sample the distance.
      held_out: of each held-out example.
    """
    n, m = len(samples), len(held_out)
    farther = 1 - _shares_below(samples, held_out)
    own = _shares_below(held_out, samples)
    closer = float(farther.mean())
    stderr = jackknife_stderr(*(_without_each(shares) for shares in (farther, own)))
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


def _shares_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each value, the share of others below it, and half of that of equal ones."""
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (below + up_to) / (2 * len(others))


def _without_each(values: np.ndarray) -> np.ndarray:
    """The mean without each value."""
    return (values.sum() - values) / (len(values) - 1) if len(values) > 1 else np.empty(0)


def _rank(count: int) -> int:
    """The place, from 1 on, of the held-out distance that bounds what is near."""
    return max(1, math.floor(NEAR * (count + 1)))


def _near(samples: np.ndarray, held_out: np.ndarray) -> float:
    bound = np.partition(held_out, _rank(len(held_out)) - 1)[_rank(len(held_out)) - 1]
    return float((samples < bound).mean())
