"""One step of the reversed SDE, from time t to an earlier time s.

A predictor is handed unit Gaussian noise of the shape of ``x``, so that it is a pure function.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax.numpy as jnp

from sde_jax.arrays import Array, Float
from sde_jax.score import Score
from sde_jax.sde import LinearSDE, reverse_drift, transition


class Step(NamedTuple):
    """A new state and its mean, the same step without its noise."""

    x: Float[Array, "batch *shape"]
    mean: Float[Array, "batch *shape"]


class Move(Protocol):
    """What takes states at scalar time ``t`` to new ones; the grid's next time is ``s < t``."""

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
    """

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        """The step from ``t`` to ``s``."""
        mean = x - (t - s) * reverse_drift(sde, x, t, score(x, t))
        return Step(mean + jnp.sqrt(sde.diffusion_squared(t) * (t - s)) * noise, mean)


@dataclass(frozen=True, kw_only=True)
class ReverseDiffusion:
    """Reverses the discretized forward process in its own form (Song et al. app. E).

    With the exact transition ``x_t = c x_s + sqrt(v) noise``::

        mean = (2 - c) x + v score            x' = mean + sqrt(v) noise
    """

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        """The step from ``t`` to ``s``."""
        scale, variance = transition(sde, s, t)
        mean = (2 - scale) * x + variance * score(x, t)
        return Step(mean + jnp.sqrt(variance) * noise, mean)


@dataclass(frozen=True, kw_only=True)
class Ancestral:
    """Samples the Gaussian posterior of x_s given x_t and the denoised x_0, for every linear SDE.

    With the exact transition ``x_t = c x_s + sqrt(v) noise``::

        mean = (x + v score) / c              x' = mean + sqrt(v) sigma(s) / sigma(t) noise

    which is Ho et al. 2020, eq. 7, for VP and Song et al. eq. 47 for VE.
    """

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        """The step from ``t`` to ``s``."""
        scale, variance = transition(sde, s, t)
        mean = (x + variance * score(x, t)) / scale
        return Step(mean + jnp.sqrt(variance) * sde.sigma(s) / sde.sigma(t) * noise, mean)
