"""One step of the reversed SDE, from time t to an earlier time s.

A predictor is handed unit Gaussian noise of the shape of ``x``, so that it is a pure function.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import jax.numpy as jnp

from sde_jax.arrays import Array, Float, expand_like
from sde_jax.score import Score, denoised
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


@dataclass(frozen=True, kw_only=True)
class DDIM:
    """The step of Song, Meng and Ermon 2021 (arXiv:2010.02502, eq. 12), for every linear SDE.

    In ``y = x / alpha`` and ``r = sigma / alpha``, with ``q = r_s / r_t`` and D the posterior mean,

    ::

        mean = q k y + (1 - q k) D,   k^2 = 1 - eta^2 (1 - q^2)
        y'   = mean + eta r_s sqrt(1 - q^2) noise

    which for eta = 0 is the first-order exponential step of the probability flow, and for eta = 1
    `Ancestral` along the exact transition.

    Raises:
      ValueError: unless ``eta`` is in [0, 1].
    """

    eta: float = 0.0
    """Noise, as a share of the posterior's deviation."""

    def __post_init__(self) -> None:
        check_eta(self.eta)

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        """The step from ``t`` to ``s``."""
        later, earlier = sde.noise_to_signal(t), sde.noise_to_signal(s)
        q = earlier / later
        kept = q * jnp.sqrt((1 - self.eta) * (1 + self.eta) + (self.eta * q) ** 2)
        deviation = self.eta * earlier * jnp.sqrt((1 - q) * (1 + q))
        kept, deviation, alpha_t, alpha_s = (
            expand_like(part, x) for part in (kept, deviation, sde.alpha(t), sde.alpha(s))
        )
        mean = alpha_s * (kept * x / alpha_t + (1 - kept) * denoised(score, sde, x, t))
        return Step(mean + alpha_s * deviation * noise, mean)


def check_eta(eta: float) -> None:
    """Raises `ValueError` unless ``eta`` is in [0, 1]."""
    if not 0 <= eta <= 1:
        raise ValueError(f"`eta` must be in [0, 1]: got eta={eta}.")
