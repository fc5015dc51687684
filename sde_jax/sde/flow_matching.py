"""The process of flow matching: straight lines between data and noise."""

from dataclasses import dataclass

import jax.numpy as jnp

from sde_jax.sde.base import LinearSDE, Time
from sde_jax.validation import Positive


@dataclass(frozen=True, kw_only=True)
class FlowMatching(LinearSDE):
    """Flow matching: ``x_t = (1 - tau t) x_0 + tau t noise``, a straight line from data to noise.

    Known as the conditional optimal-transport path (Lipman et al. 2023, arXiv:2210.02747, sec. 4.1)
    and as rectified flow (Liu et al. 2023, arXiv:2209.03003). With ``r_1`` the noise_to_signal at
    t = 1::

        tau = r_1 / (1 + r_1)     alpha = 1 - tau t     sigma = tau t     sigma / alpha = r
        a = -tau (1 + r)          g^2 = 2 tau r         log alpha = -log(1 + r)

    The limit tau = 1 is singular at t = 1. Its trajectories from data to noise_to_signal ``r_1``
    are the same. `FlowPrediction` is the velocity ``noise - x_0`` of flow matching.
    """

    noise_to_signal_prior: Positive = 152.0
    """sigma / alpha at t = 1; the default is that of `VP`."""

    @property
    def _last_alpha(self) -> float:
        return 1 / (1 + self.noise_to_signal_prior)

    @property
    def prior_scale(self) -> float:
        """The tau of the equations."""
        return self.noise_to_signal_prior * self._last_alpha

    def alpha(self, t: Time) -> Time:
        # 1 - tau t without cancellation near t = 1
        return self._last_alpha + self.prior_scale * (1 - t)

    def log_alpha(self, t: Time) -> Time:
        return -jnp.log1p(self.noise_to_signal(t))

    def sigma(self, t: Time) -> Time:
        return self.prior_scale * t

    def drift_rate(self, t: Time) -> Time:
        return -self.prior_scale / self.alpha(t)

    def diffusion_squared(self, t: Time) -> Time:
        return 2 * self.prior_scale * self.noise_to_signal(t)

    def noise_to_signal(self, t: Time) -> Time:
        return self.sigma(t) / self.alpha(t)

    def time_of(self, noise_to_signal: Time) -> Time:
        return noise_to_signal / (self.prior_scale * (1 + noise_to_signal))
