"""The Ornstein-Uhlenbeck process: constant coefficients."""

import math
import warnings
from dataclasses import dataclass

import jax.numpy as jnp

from sde_jax.sde.base import LinearSDE, Time
from sde_jax.validation import Positive


@dataclass(frozen=True, kw_only=True)
class OrnsteinUhlenbeck(LinearSDE):
    """Ornstein-Uhlenbeck: ``dx = -beta x dt + s dw``, with stationary variance ``s^2 / (2 beta)``.

    ::

        alpha = exp(-beta t)        sigma^2 = s^2 / (2 beta) (1 - exp(-2 beta t))

    (Uhlenbeck and Ornstein 1930; Song et al. eq. 29 with constant coefficients.) The defaults give
    alpha(1) = .0067 and a unit stationary variance.

    Warns:
      UserWarning: if alpha(1) > .01, since x_1 then still depends on the data.
    """

    beta: Positive = 5.0
    """Rate of the pull towards 0."""
    s: Positive = math.sqrt(10.0)
    """Diffusion coefficient. sqrt(2 beta) gives a unit stationary variance."""

    def __post_init__(self) -> None:
        super().__post_init__()
        remains = math.exp(-self.beta)
        if remains > 0.01:
            warnings.warn(
                f"beta={self.beta} leaves alpha(1) = {remains:.3f} of the data at t = 1: the "
                "process does not reach its prior. Set `beta` to 4.61 or more.",
                stacklevel=3,
            )

    @property
    def prior_scale(self) -> float:
        return self.s / math.sqrt(2 * self.beta)

    def log_alpha(self, t: Time) -> Time:
        return -self.beta * t

    def sigma(self, t: Time) -> Time:
        return self.prior_scale * jnp.sqrt(-jnp.expm1(-2 * self.beta * t))

    def drift_rate(self, t: Time) -> Time:
        return jnp.full_like(t, -self.beta)

    def diffusion_squared(self, t: Time) -> Time:
        return jnp.full_like(t, self.s**2)

    def noise_to_signal(self, t: Time) -> Time:
        return self.prior_scale * jnp.sqrt(jnp.expm1(2 * self.beta * t))

    def time_of(self, noise_to_signal: Time) -> Time:
        return jnp.log1p((noise_to_signal / self.prior_scale) ** 2) / (2 * self.beta)
