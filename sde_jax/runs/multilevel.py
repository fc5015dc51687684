"""The mean likelihood of a data set by multilevel Monte Carlo over numbers of steps."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

COARSEST, FINEST = 16, 512
PILOTS = 32
"""Examples by which a level is judged; counts are multiples of it, for one compiled program."""
SHARE = 0.1
"""The default error of the solver, as a share of the error over images."""

Bits = Callable[[int, np.ndarray], np.ndarray]
"""Measures bits per dimension in so many steps, of the examples with these numbers."""


class MultilevelMean(NamedTuple):
    """A mean over examples, as if all were measured in the steps of the last level."""

    mean: float
    image_stderr: float
    """Standard error over the examples, which stand for all data."""
    solver_stderr: float
    """What the solver adds: the error over the examples that were measured in more steps, and
    the difference that still more steps would make."""
    nfe: float
    """Mean number of evaluations of an example."""
    counts: dict[int, int]
    """Number of examples that were measured in so many steps, for themselves or as a difference."""

    @property
    def stderr(self) -> float:
        """Standard error of all causes."""
        return math.hypot(self.image_stderr, self.solver_stderr)

    def scaled(self, factor: float) -> "MultilevelMean":
        """Returns the mean and its errors in a unit of which a bit per dimension is ``factor``."""
        return self._replace(
            mean=factor * self.mean,
            image_stderr=abs(factor) * self.image_stderr,
            solver_stderr=abs(factor) * self.solver_stderr,
        )


def multilevel_mean(
    bits: Bits, size: int, rng: np.random.Generator, wanted: float | None = None
) -> MultilevelMean:
    """Returns the mean bits of examples 0 to ``size - 1`` (Giles 2008, doi:10.1287/opre.1070.0496).

    ::

        mean of b_0 over all + sum over l of the mean of b_l - b_(l-1) over n_l random examples

    Level l takes ``16 2^l`` steps. The differences of an example share its noise and are small, so
    that few examples suffice. Pilots tell their deviations. Levels are added until what still finer
    ones would add is below half of the wanted error. The n_l are the cheapest that reach it.

    Args:
      bits: measures examples.
      size: the number of examples, at least 2.
      rng: chooses the examples of the finer levels.
      wanted: the error to be added by the solver, in bits; None for a tenth of the error over
        examples.

    Raises:
      ValueError: if 512 steps leave more than the wanted error; the message states what they leave.
    """
    coarse = np.asarray(bits(COARSEST, np.arange(size)), np.float64)
    image_stderr = float(coarse.std(ddof=1)) / math.sqrt(size)
    target = SHARE * image_stderr if wanted is None else wanted
    finer: list[Differences] = []
    left = math.inf
    while left > target / 2:
        steps = COARSEST * 2 ** (1 + len(finer))
        if steps > FINEST:
            raise ValueError(
                f"the error must be at least {2 * left:.2g} bits, which {FINEST} steps may leave: "
                f"got {target:.2g}."
            )
        finer.append(Differences(bits, steps, coarse, rng.permutation(size)))
        finer[-1].extend(PILOTS)
        left = remainder([level.mean for level in finer])
    # The counts of least cost for their sum of variances (Giles 2008, eq. 12).
    budget = target**2 - left**2
    spread = sum(level.deviation * math.sqrt(level.cost) for level in finer)
    for level in finer:
        level.extend(math.ceil(level.deviation / math.sqrt(level.cost) * spread / budget))
    evaluations = size * (COARSEST + 1) + sum(len(level.found) * level.cost for level in finer)
    return MultilevelMean(
        mean=float(coarse.mean()) + sum(level.mean for level in finer),
        image_stderr=image_stderr,
        solver_stderr=math.sqrt(sum(level.variance for level in finer) + left**2),
        nfe=evaluations / size,
        counts={COARSEST: size, **{level.steps: len(level.found) for level in finer}},
    )


class Differences:
    """Bits in ``steps`` less those in half as many, of random examples."""

    def __init__(self, bits: Bits, steps: int, coarse: np.ndarray, order: np.ndarray) -> None:
        self.bits, self.steps, self.coarse, self.order = bits, steps, coarse, order
        self.found = np.empty(0)

    def extend(self, count: int) -> None:
        """Measures examples until there are ``count``, or all."""
        more = self.order[len(self.found) : PILOTS * math.ceil(count / PILOTS)]
        if len(more):
            half = self.steps // 2
            less = self.coarse[more] if half == COARSEST else self.bits(half, more)
            new = self.bits(self.steps, more).astype(np.float64) - less
            self.found = np.concatenate([self.found, new])

    @property
    def cost(self) -> int:
        """Evaluations of an example."""
        half = self.steps // 2
        return self.steps + 1 + (0 if half == COARSEST else half + 1)

    @property
    def mean(self) -> float:
        """Mean over the examples so far."""
        return float(self.found.mean())

    @property
    def deviation(self) -> float:
        """Standard deviation over the examples so far."""
        return float(self.found.std(ddof=1))

    @property
    def variance(self) -> float:
        """Variance of the mean, as an estimate of the mean over all examples."""
        count = len(self.found)
        return self.deviation**2 / count * (1 - count / len(self.order))


def remainder(means: list[float]) -> float:
    """Estimates what more levels would add, from the mean differences of those that there are.

    The error falls by a factor with each doubling of the steps. It is that of the last two
    differences, between 2 and 8; 2 for a single one.
    """
    factor = 2.0
    if len(means) > 1 and means[-1]:
        factor = min(max(abs(means[-2] / means[-1]), 2.0), 8.0)
    return abs(means[-1]) / (factor - 1)
