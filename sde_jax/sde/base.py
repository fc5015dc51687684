"""The base class of forward processes: linear SDEs whose coefficients depend on time alone."""

import abc
from dataclasses import dataclass

import jax.numpy as jnp

from sde_jax.arrays import Array, Float
from sde_jax.validation import Spec

Time = Float[Array, "*batch"]
"""Times in [0, 1], of any shape: 0 is the data, 1 the prior."""


@dataclass(frozen=True, kw_only=True)
class LinearSDE(Spec, abc.ABC):
    """A forward process ``dx = a(t) x dt + g(t) dw`` for t in [0, 1], data at 0, prior at 1.

    Its transition from data is Gaussian, ``x_t = alpha(t) x_0 + sigma(t) noise`` (Song et al. 2021,
    arXiv:2011.13456, eq. 29), with::

        a = d log alpha / dt        g^2 = d sigma^2 / dt - 2 a sigma^2

    Every coefficient takes ``t`` of any shape and returns that shape. A subclass states its
    coefficients in closed form, without cancellation in float32 near t = 0; `alpha` follows.
    """

    @abc.abstractmethod
    def log_alpha(self, t: Time) -> Time:
        """Returns the logarithm of the signal scale ``alpha(t)``."""

    @abc.abstractmethod
    def sigma(self, t: Time) -> Time:
        """Returns the standard deviation of ``x_t`` given ``x_0``."""

    @abc.abstractmethod
    def drift_rate(self, t: Time) -> Time:
        """Returns the factor ``a(t)`` of the drift ``a(t) x``."""

    @abc.abstractmethod
    def diffusion_squared(self, t: Time) -> Time:
        """Returns the square ``g(t)^2`` of the diffusion coefficient."""

    @abc.abstractmethod
    def noise_to_signal(self, t: Time) -> Time:
        """Returns ``sigma(t) / alpha(t)``, increasing in t; the sigma of Karras et al. 2022."""

    @abc.abstractmethod
    def time_of(self, noise_to_signal: Time) -> Time:
        """Inverts `noise_to_signal`."""

    @property
    @abc.abstractmethod
    def prior_scale(self) -> float:
        """Standard deviation of the zero-mean Gaussian that sampling starts from at t = 1."""

    @property
    def sampling_end(self) -> Time:
        """Default time at which sampling ends: where ``noise_to_signal`` is 0.01.

        Processes that stay well conditioned closer to the data override it.
        """
        return self.time_of(jnp.asarray(0.01))

    def alpha(self, t: Time) -> Time:
        """Returns the signal scale: the mean of ``x_t`` given ``x_0`` is ``alpha(t) x_0``."""
        return jnp.exp(self.log_alpha(t))
