"""Predictors: one step of the reverse-time SDE, from time t to an earlier time s.

A predictor is a pure function: its unit Gaussian noise, of the shape of ``x``, is an argument.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol

import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, expand_like
from sde_jax.score import Score, denoised
from sde_jax.sde import ExactTransition, LinearSDE, TransitionRule, reverse_drift
from sde_jax.validation import Spec, UnitInterval


class Step(NamedTuple):
    """A new state, and its mean before noise is added."""

    x: Examples
    mean: Examples


class Move(Protocol):
    """A map from states at time ``t`` to new states; ``s`` is the next time of the grid.

    Times are scalars, or one per state.
    """

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step: ...


class Predictor(Move, Protocol):
    """A move from time ``t`` to time ``s``."""

    @property
    def evaluations(self) -> int:
        """Score evaluations per step."""
        ...

    @property
    def follows_flow(self) -> bool:
        """True for a step of the probability flow, without noise."""
        ...


@dataclass(frozen=True, kw_only=True)
class EulerMaruyama:
    """Euler-Maruyama for the reverse-time SDE (Song et al. eq. 6). With ``h = t - s``,

    ::

        mean = x - (a x - g^2 score) h        x' = mean + g sqrt(h) noise

    The step is that of the grid. `ReverseDiffusion` with `EulerChain` is the published code, whose
    step is 1 / N whatever the grid.
    """

    evaluations: ClassVar[int] = 1
    follows_flow: ClassVar[bool] = False

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        mean = x - expand_like(t - s, x) * reverse_drift(sde, x, t, score(x, t))
        variance = expand_like(sde.diffusion_squared(t) * (t - s), x)
        return Step(mean + jnp.sqrt(variance) * noise, mean)


@dataclass(frozen=True, kw_only=True)
class ReverseDiffusion:
    """The reverse diffusion sampler of Song et al., app. E, for any transition rule.

    With the transition ``x_t = c x_s + sqrt(v) noise``::

        mean = (2 - c) x + v score            x' = mean + sqrt(v) noise

    or, along the probability flow, ``x' = mean = (2 - c) x + v score / 2``.
    """

    evaluations: ClassVar[int] = 1

    transition: TransitionRule = ExactTransition()
    """The exact transition along the grid, or that of a published chain."""
    probability_flow: bool = False
    """Follow the probability flow, without noise."""

    @property
    def follows_flow(self) -> bool:
        """True with ``probability_flow``."""
        return self.probability_flow

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        scale, variance, _ = (expand_like(part, x) for part in self.transition(sde, s, t))
        share = 0.5 if self.probability_flow else 1.0
        mean = (2 - scale) * x + share * variance * score(x, t)
        return Step(mean if self.probability_flow else mean + jnp.sqrt(variance) * noise, mean)


@dataclass(frozen=True, kw_only=True)
class Ancestral(Spec):
    """Samples the Gaussian posterior of x_s given x_t and the denoised x_0, for every linear SDE.

    With the transition ``x_t = c x_s + sqrt(v) noise``::

        mean = (x + v score) / c              x' = mean + sqrt(u) noise

    If u is the variance of the posterior, this is Ho et al. 2020, eq. 7, for VP and Song et al. eq.
    47 for VE.
    """

    evaluations: ClassVar[int] = 1
    follows_flow: ClassVar[bool] = False

    transition: TransitionRule = ExactTransition()
    """The exact transition along the grid, or that of a published chain."""
    variance: Literal["posterior", "beta"] = "posterior"
    """The variance u. "posterior" is the variance of the posterior, optimal for a single x_0.
    "beta" is v, optimal for standard Gaussian data and published with VP (Ho et al. 2020, sec.
    3.2)."""

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        scale, variance, posterior = (expand_like(part, x) for part in self.transition(sde, s, t))
        mean = (x + variance * score(x, t)) / scale
        noise_variance = posterior if self.variance == "posterior" else variance
        return Step(mean + jnp.sqrt(noise_variance) * noise, mean)


@dataclass(frozen=True, kw_only=True)
class DDIM(Spec):
    """The step of Song, Meng and Ermon 2021 (arXiv:2010.02502, eq. 12), for every linear SDE.

    In ``y = x / alpha`` and ``r = sigma / alpha``, with ``q = r_s / r_t`` and D the posterior mean,

    ::

        mean = q k y + (1 - q k) D,   k^2 = 1 - eta^2 (1 - q^2)
        y'   = mean + eta r_s sqrt(1 - q^2) noise

    For eta = 0 it is the first-order exponential step of the probability flow, for eta = 1
    `Ancestral` along the exact transition.
    """

    evaluations: ClassVar[int] = 1

    eta: UnitInterval = 0.0
    """Noise, as a fraction of the posterior's standard deviation."""

    @property
    def follows_flow(self) -> bool:
        """True for ``eta`` 0."""
        return not self.eta

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        later, earlier = sde.noise_to_signal(t), sde.noise_to_signal(s)
        q = earlier / later
        kept = q * jnp.sqrt((1 - self.eta) * (1 + self.eta) + (self.eta * q) ** 2)
        deviation = self.eta * earlier * jnp.sqrt((1 - q) * (1 + q))
        kept, deviation, alpha_t, alpha_s = (
            expand_like(part, x) for part in (kept, deviation, sde.alpha(t), sde.alpha(s))
        )
        mean = alpha_s * (kept * x / alpha_t + (1 - kept) * denoised(score, sde, x, t))
        return Step(mean + alpha_s * deviation * noise, mean)
