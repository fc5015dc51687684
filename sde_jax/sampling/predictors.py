"""One step of the reversed SDE, from time t to an earlier time s.

A predictor is handed unit Gaussian noise of the shape of ``x``, so that it is a pure function.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import jax.numpy as jnp

from sde_jax.arrays import Array, Float, expand_like
from sde_jax.score import Score
from sde_jax.sde import ExactTransition, LinearSDE, TransitionRule, reverse_drift


class Step(NamedTuple):
    """A new state and its mean, the same step without its noise."""

    x: Float[Array, "batch *shape"]
    mean: Float[Array, "batch *shape"]


class Move(Protocol):
    """What takes states at time ``t`` to new ones; the grid's next time is ``s``.

    Both are one time, or one for each state.
    """

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step: ...


class Predictor(Move, Protocol):
    """A move from time ``t`` to time ``s``."""

    @property
    def evaluations(self) -> int:
        """Score evaluations in a step."""
        ...


@dataclass(frozen=True, kw_only=True)
class EulerMaruyama:
    """Euler-Maruyama on the reverse-time SDE (Song et al. eq. 6): with ``h = t - s``,

    ::

        mean = x - (a x - g^2 score) h        x' = mean + g sqrt(h) noise

    The step is the grid's own; that of the published code, 1 / N whatever the grid, is
    `ReverseDiffusion` with `EulerChain`.
    """

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        """The step from ``t`` to ``s``."""
        mean = x - expand_like(t - s, x) * reverse_drift(sde, x, t, score(x, t))
        variance = expand_like(sde.diffusion_squared(t) * (t - s), x)
        return Step(mean + jnp.sqrt(variance) * noise, mean)


@dataclass(frozen=True, kw_only=True)
class ReverseDiffusion:
    """Reverses the discretized forward process in its own form (Song et al. app. E).

    With the transition ``x_t = c x_s + sqrt(v) noise``::

        mean = (2 - c) x + v score            x' = mean + sqrt(v) noise

    or, along the probability flow, ``x' = mean = (2 - c) x + v score / 2``.
    """

    transition: TransitionRule = ExactTransition()
    """The exact transition along the grid, or that of a published chain."""
    probability_flow: bool = False
    """Whether to follow the probability flow, without noise."""

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        """The step from ``t`` to ``s``."""
        scale, variance, _ = (expand_like(part, x) for part in self.transition(sde, s, t))
        share = 0.5 if self.probability_flow else 1.0
        mean = (2 - scale) * x + share * variance * score(x, t)
        return Step(mean if self.probability_flow else mean + jnp.sqrt(variance) * noise, mean)


@dataclass(frozen=True, kw_only=True)
class Ancestral:
    """Samples the Gaussian posterior of x_s given x_t and the denoised x_0, for every linear SDE.

    With the transition ``x_t = c x_s + sqrt(v) noise``::

        mean = (x + v score) / c              x' = mean + sqrt(u) noise

    which is Ho et al. 2020, eq. 7, for VP and Song et al. eq. 47 for VE, if u is the variance of
    the posterior.

    Raises:
      ValueError: unless ``variance`` is "posterior" or "beta".
    """

    transition: TransitionRule = ExactTransition()
    """The exact transition along the grid, or that of a published chain."""
    variance: Literal["posterior", "beta"] = "posterior"
    """The variance u: of the posterior, which is right for a single x_0, or v, which is right for
    standard Gaussian data and was published with VP (Ho et al. 2020, sec. 3.2)."""

    def __post_init__(self) -> None:
        if self.variance not in ("posterior", "beta"):
            raise ValueError(
                f'`variance` must be "posterior" or "beta": got variance={self.variance!r}.'
            )

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        """The step from ``t`` to ``s``."""
        scale, variance, posterior = (expand_like(part, x) for part in self.transition(sde, s, t))
        mean = (x + variance * score(x, t)) / scale
        noise_variance = posterior if self.variance == "posterior" else variance
        return Step(mean + jnp.sqrt(noise_variance) * noise, mean)
