"""Variance-preserving (VP) and sub-VP processes."""

import math
from dataclasses import dataclass

import jax.numpy as jnp

from sde_jax.sde.base import LinearSDE, Time
from sde_jax.validation import require, require_order


@dataclass(frozen=True, kw_only=True)
class _LinearBeta(LinearSDE):
    """Base of `VP` and `SubVP`: ``beta(t) = beta_min + t (beta_max - beta_min)``."""

    beta_min: float = 0.1
    """Noise rate at t = 0; positive."""
    beta_max: float = 20.0
    """Noise rate at t = 1; greater than beta_min."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "beta_min beta_max", self.beta_min > 0, "be positive")
        require_order(self, "beta_min", "beta_max", larger="beta_max")

    def _beta(self, t: Time) -> Time:
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def _integrated_beta(self, t: Time) -> Time:
        return t * (self.beta_min + 0.5 * t * (self.beta_max - self.beta_min))

    def _time_of_integrated_beta(self, integral: Time) -> Time:
        """Solves ``beta_min t + (beta_max - beta_min) t^2 / 2 = integral``, accurately near 0."""
        slope = self.beta_max - self.beta_min
        return 2 * integral / (self.beta_min + jnp.sqrt(self.beta_min**2 + 2 * slope * integral))

    def log_alpha(self, t: Time) -> Time:
        return -0.5 * self._integrated_beta(t)

    def drift_rate(self, t: Time) -> Time:
        return -0.5 * self._beta(t)

    @property
    def prior_scale(self) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class VP(_LinearBeta):
    """Variance preserving: ``dx = -beta(t) x / 2 dt + sqrt(beta(t)) dw`` (Song et al. eq. 11, 32).

    With ``B(t)`` the integral of beta from 0 to t::

        alpha = exp(-B / 2)     sigma = sqrt(1 - exp(-B))     sigma / alpha = sqrt(exp(B) - 1)

    Raises:
      ValueError: unless ``0 < beta_min < beta_max``.
    """

    def sigma(self, t: Time) -> Time:
        return jnp.sqrt(-jnp.expm1(-self._integrated_beta(t)))

    def diffusion_squared(self, t: Time) -> Time:
        return self._beta(t)

    def noise_to_signal(self, t: Time) -> Time:
        return jnp.sqrt(jnp.expm1(self._integrated_beta(t)))

    def time_of(self, noise_to_signal: Time) -> Time:
        return self._time_of_integrated_beta(jnp.log1p(noise_to_signal**2))


@dataclass(frozen=True, kw_only=True)
class SubVP(_LinearBeta):
    """Sub-VP: ``dx = -beta x / 2 dt + sqrt(beta (1 - exp(-2 B))) dw`` (Song et al. eq. 14).

    With ``B(t)`` the integral of beta from 0 to t::

        alpha = exp(-B / 2)     sigma = 1 - exp(-B)     sigma / alpha = 2 sinh(B / 2)

    Raises:
      ValueError: unless ``0 < beta_min < beta_max``.
    """

    def sigma(self, t: Time) -> Time:
        return -jnp.expm1(-self._integrated_beta(t))

    def diffusion_squared(self, t: Time) -> Time:
        # 1 - exp(-2 B) = (1 - exp(-B)) (1 + exp(-B)) needs one expm1. XLA on CPU (jaxlib 0.10.2 to
        # 0.12.0) confuses expm1(-2 B) with expm1(-B) when it fuses both into one large reduction.
        sigma = self.sigma(t)
        return self._beta(t) * sigma * (2 - sigma)

    def noise_to_signal(self, t: Time) -> Time:
        return 2 * jnp.sinh(0.5 * self._integrated_beta(t))

    def time_of(self, noise_to_signal: Time) -> Time:
        return self._time_of_integrated_beta(2 * jnp.arcsinh(0.5 * noise_to_signal))

    @property
    def sampling_end(self) -> Time:
        """t = 1e-3, as published. There sigma, proportional to t near 0, is 1.1e-4."""
        return jnp.asarray(1e-3)


@dataclass(frozen=True, kw_only=True)
class CosineVP(LinearSDE):
    """Variance preserving with the cosine schedule, truncated where it would be singular.

    ``alpha = cos(angle), sigma = sin(angle)`` with the angle linear in t (Nichol and Dhariwal 2021,
    arXiv:2102.09672, sec. 3.2), so that ``log(alpha / sigma) = -log tan(angle)``. The endpoints are
    given as log-SNR, ``2 log(alpha / sigma)``, which keeps every coefficient finite.

    Raises:
      ValueError: unless ``log_snr_data > log_snr_prior``.
    """

    log_snr_data: float = 15.0
    """Log signal-to-noise ratio at t = 0."""
    log_snr_prior: float = -10.0
    """Log signal-to-noise ratio at t = 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_order(self, "log_snr_data", "log_snr_prior", larger="log_snr_data")

    @property
    def _first_angle(self) -> float:
        return math.atan(math.exp(-0.5 * self.log_snr_data))

    @property
    def _last_complement(self) -> float:
        return math.atan(math.exp(0.5 * self.log_snr_prior))

    @property
    def _angular_rate(self) -> float:
        return 0.5 * math.pi - self._last_complement - self._first_angle

    def _angle(self, t: Time) -> Time:
        return self._first_angle + self._angular_rate * t

    def _complement(self, t: Time) -> Time:
        """Returns ``pi / 2 - angle`` without cancellation near t = 1."""
        return self._last_complement + self._angular_rate * (1 - t)

    def log_alpha(self, t: Time) -> Time:
        return -0.5 * jnp.log1p(self.noise_to_signal(t) ** 2)

    def sigma(self, t: Time) -> Time:
        return jnp.sin(self._angle(t))

    def drift_rate(self, t: Time) -> Time:
        return -self._angular_rate * self.noise_to_signal(t)

    def diffusion_squared(self, t: Time) -> Time:
        return 2 * self._angular_rate * self.noise_to_signal(t)

    def noise_to_signal(self, t: Time) -> Time:
        return jnp.sin(self._angle(t)) / jnp.sin(self._complement(t))

    def time_of(self, noise_to_signal: Time) -> Time:
        return (jnp.arctan(noise_to_signal) - self._first_angle) / self._angular_rate

    @property
    def prior_scale(self) -> float:
        return 1.0

    @property
    def sampling_end(self) -> Time:
        """t = 0, the truncated end of the schedule."""
        return jnp.asarray(0.0)
