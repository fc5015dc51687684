"""The probability flow in unit coordinates over an angle."""

from dataclasses import dataclass

import jax.numpy as jnp

from sde_jax.arrays import Array, Float
from sde_jax.score.protocol import Score
from sde_jax.sde.base import LinearSDE, Time

_SHORTEST_FIRST_STEP = 1e-6


@dataclass(frozen=True)
class UnitFlow:
    """The probability flow of one example in ``z = x / rho`` over an angle u in (0, pi / 2).

    ::

        rho^2 = alpha^2 + sigma^2        tan^2 u = r = sigma / alpha
        dz/du = 2 sqrt(r) (1 + r) / (1 + r^2) v        v = -r (z + rho score)

    with the velocity v of Salimans and Ho 2022 (arXiv:2202.00512, app. D). It is the flow of Song
    et al. 2021, eq. 13, with other variables. States are of unit scale at all times, and all linear
    SDEs have the same flow. Adaptive solvers need fewer steps than in t: in t, the flow of VP
    changes fast near the data, and that of VE grows exponentially.
    """

    score: Score
    sde: LinearSDE

    def angle(self, t: Time) -> Time:
        """Returns u at ``t``."""
        return jnp.arctan(jnp.sqrt(self.sde.noise_to_signal(t)))

    def scale(self, t: Time) -> Time:
        """Returns rho at ``t``."""
        return jnp.hypot(self.sde.alpha(t), self.sde.sigma(t))

    def first_step(
        self, angle: Float[Array, "*shape"], *, from_data: bool
    ) -> Float[Array, "*shape"]:
        """Returns a first step from ``angle``: log(sigma / alpha) changes by about 1.75.

        From the data it changes by 0.5. There, noise grows on the scale of u itself. A guess from
        drifts overlooks this growth, and so does the error estimate of a step of that length.
        """
        change = 0.5 if from_data else 1.75
        # At t = 0 a process may have no noise, and no such change.
        return jnp.maximum(change * jnp.sin(2 * angle) / 4, _SHORTEST_FIRST_STEP)

    def velocity(self, angle: Float[Array, ""], z: Float[Array, "*shape"]) -> Array:
        """Returns ``dz/du``, for one example without a batch dimension."""
        root = jnp.tan(angle)
        t = jnp.clip(self.sde.time_of(root**2), 0, 1).astype(z.dtype)
        scale, level = self.scale(t), self.sde.noise_to_signal(t)
        score = self.score((scale * z)[None], t)[0]
        pace = 2 * root * (1 + root**2) / (1 + root**4)
        return (-pace * level * (z + scale * score)).astype(z.dtype)
