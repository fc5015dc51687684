"""Heun's method in the coordinates of Karras et al. 2022."""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from sde_jax.arrays import Array, expand_like
from sde_jax.sampling.predictors import Step
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE
from sde_jax.validation import Positive, Spec, require


@dataclass(frozen=True, kw_only=True)
class Churn(Spec):
    """Noise added before each step (Karras et al. 2022, arXiv:2206.00364, alg. 2).

    Raises:
      ValueError: unless ``growth`` is in [0, sqrt(2) - 1] and ``0 <= low <= high``.
    """

    growth: float
    """The paper's gamma, the relative increase of noise_to_signal:
    ``min(S_churn / N, sqrt(2) - 1)``."""
    low: float = 0.0
    """Smallest noise_to_signal at which noise is added, S_tmin."""
    high: float = math.inf
    """Largest noise_to_signal at which noise is added, S_tmax."""
    noise: Positive = 1.0
    """Deviation of the added noise, S_noise; values a little above 1 compensate for lost detail."""

    def __post_init__(self) -> None:
        super().__post_init__()
        grows = 0 <= self.growth <= math.sqrt(2) - 1
        require(self, "growth", grows, "be in [0, sqrt(2) - 1]")
        require(self, "low high", 0 <= self.low <= self.high, "be in [0, `high`]")


@dataclass(frozen=True, kw_only=True)
class Heun:
    """Heun's second-order step of the probability flow (Karras et al. 2022, alg. 1 and 2).

    In ``y = x / alpha`` and ``r = sigma / alpha`` the flow of every linear SDE is
    ``dy / dr = (y - D) / r``, with D the posterior mean. With `KarrasGrid` and the denoising end it
    is the paper's sampler, of ``2 steps + 1`` evaluations.
    """

    evaluations: ClassVar[int] = 2

    churn: Churn | None = None
    """Noise added before each step; None follows the flow. Unlike the paper's, it never exceeds the
    level at t = 1, and none is added before the final denoising."""

    @property
    def follows_flow(self) -> bool:
        """True without ``churn``."""
        return self.churn is None

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        y = x / expand_like(sde.alpha(t), x)
        if self.churn is not None:
            y, t = self._stir(self.churn, noise, sde, y, t)
        later, earlier = sde.noise_to_signal(t), sde.noise_to_signal(s)
        step = expand_like(earlier - later, x)

        def slope(y: Array, time: Array, level: Array) -> Array:
            clean = denoised(score, sde, expand_like(sde.alpha(time), y) * y, time)
            return (y - clean) / expand_like(level, y)

        first = slope(y, t, later)
        second = slope(y + step * first, s, earlier)
        moved = expand_like(sde.alpha(s), x) * (y + step * (first + second) / 2)
        return Step(moved, moved)

    def _stir(
        self, churn: Churn, noise: Array, sde: LinearSDE, y: Array, t: Array
    ) -> tuple[Array, Array]:
        """Returns the states with added noise, and the times of their new noise level."""
        level = sde.noise_to_signal(t)
        applies = (churn.low <= level) & (level <= churn.high)
        grown = sde.time_of((1 + churn.growth) * level)
        time = jnp.where(applies, jnp.clip(grown, t, 1.0), t)
        raised = sde.noise_to_signal(time)
        added = jnp.sqrt((raised - level) * (raised + level))
        return y + churn.noise * expand_like(added, y) * noise, time
