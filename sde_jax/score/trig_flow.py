"""The probability flow on a circle: data of unit scale at angle 0, noise at a right angle."""

from dataclasses import dataclass

import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, expand_like
from sde_jax.score.protocol import Score
from sde_jax.sde.base import LinearSDE, Time
from sde_jax.validation import Positive, Spec


@dataclass(frozen=True, kw_only=True)
class TrigFlow(Spec):
    """The probability flow in ``z = cos(u) x_0 / d + sin(u) noise`` over the angle u.

    Lu and Song 2024 (arXiv:2410.11081, sec. 3). With d the standard deviation of the data::

        z = x / rho     rho^2 = alpha^2 d^2 + sigma^2     tan u = r / d     r = sigma / alpha
        dz/du = F       F = -tan(u) (z + rho score)       E[x_0 | z] = d (cos(u) z - sin(u) F)

    F is the v of `VelocityPrediction` for d = 1, and minus the output of `EDMPrediction`. All
    linear SDEs have this flow, each on its own range of angles.
    """

    sde: LinearSDE
    deviation: Positive
    """Standard deviation d of the data."""

    def angle(self, t: Time) -> Time:
        """Returns u at ``t``, in [0, pi / 2)."""
        return jnp.arctan(self.sde.noise_to_signal(t) / self.deviation)

    def time(self, angle: Time) -> Time:
        """Returns t at an angle."""
        return self.sde.time_of(self.deviation * jnp.tan(angle))

    def scale(self, t: Time) -> Time:
        """Returns rho at ``t``."""
        return jnp.hypot(self.deviation * self.sde.alpha(t), self.sde.sigma(t))

    def velocity(self, score: Score, z: Examples, angle: Time) -> Examples:
        """Returns F, the ``dz/du`` of a score; differentiable in ``z`` and ``angle``."""
        t = self.time(angle)
        scale = expand_like(self.scale(t), z)
        return -expand_like(jnp.tan(angle), z) * (z + scale * score(scale * z, t))

    def data_of(self, velocity: Array, z: Examples, angle: Time) -> Examples:
        """Returns the data ``d (cos(u) z - sin(u) F)`` that a velocity F points to."""
        cos, sin = (expand_like(of(angle), z) for of in (jnp.cos, jnp.sin))
        return self.deviation * (cos * z - sin * velocity)
