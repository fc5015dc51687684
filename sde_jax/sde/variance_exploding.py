"""The variance-exploding process: noise is added, the signal is not scaled."""

import math
from dataclasses import dataclass

import jax.numpy as jnp

from sde_jax.sde.base import LinearSDE, Time
from sde_jax.validation import require, require_order


@dataclass(frozen=True, kw_only=True)
class VE(LinearSDE):
    """Variance exploding: ``dx = sigma(t) sqrt(2 log(sigma_max / sigma_min)) dw``.

    ``alpha = 1`` and ``sigma(t) = sigma_min (sigma_max / sigma_min)^t`` (Song et al. eq. 9 and 30).
    The data at t = 0 already have noise of deviation ``sigma_min``. The published values .01 and 50
    are for data in [0, 1]; for data in [-1, 1] they are .02 and 100.

    Raises:
      ValueError: unless ``0 < sigma_min < sigma_max``.
    """

    sigma_min: float = 0.01
    """Noise deviation at t = 0, in units of the data; positive."""
    sigma_max: float = 50.0
    """Noise deviation at t = 1; at least the largest distance between two examples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "sigma_min sigma_max", self.sigma_min > 0, "be positive")
        require_order(self, "sigma_min", "sigma_max", larger="sigma_max")

    @property
    def _log_ratio(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)

    def log_alpha(self, t: Time) -> Time:
        return jnp.zeros_like(t)

    def sigma(self, t: Time) -> Time:
        return self.sigma_min * jnp.exp(self._log_ratio * t)

    def drift_rate(self, t: Time) -> Time:
        return jnp.zeros_like(t)

    def diffusion_squared(self, t: Time) -> Time:
        return 2 * self._log_ratio * self.sigma(t) ** 2

    def noise_to_signal(self, t: Time) -> Time:
        return self.sigma(t)

    def time_of(self, noise_to_signal: Time) -> Time:
        return jnp.log(noise_to_signal / self.sigma_min) / self._log_ratio

    @property
    def prior_scale(self) -> float:
        return self.sigma_max
