"""Weights of the error at each time."""

from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp

from sde_jax.score.parameterization import check_deviation
from sde_jax.sde import LinearSDE
from sde_jax.sde.base import Time


class Weighting(Protocol):
    """The factor of ``|sigma score + noise|^2``, the squared error of the predicted noise, at t."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time: ...


@dataclass(frozen=True, kw_only=True)
class NoiseWeighting:
    """Weight 1: every noise level counts alike, which makes the best samples (Ho et al. 2020)."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """The weight at ``t``."""
        return jnp.ones_like(t)


@dataclass(frozen=True, kw_only=True)
class LikelihoodWeighting:
    """Weight ``g^2 / sigma^2``: the loss then bounds the likelihood (Song et al. 2021b, thm. 1).

    Half of its integral over time is, up to a constant, an upper bound of the negative log
    likelihood (arXiv:2101.09258).
    """

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """The weight at ``t``."""
        return sde.diffusion_squared(t) / sde.sigma(t) ** 2


@dataclass(frozen=True, kw_only=True)
class EDMWeighting:
    """Weight ``1 + (r / d)^2``, r = noise_to_signal and d the deviation of the data.

    It is the ``(r^2 + d^2) / (r d)^2`` of Karras et al. 2022 (arXiv:2206.00364, table 1), which
    multiplies the error of the data, taken to the error of the noise. The output of `EDMPrediction`
    then counts alike at every level.

    Raises:
      ValueError: unless ``data_deviation`` is positive.
    """

    data_deviation: float = 0.5
    """Standard deviation d of the data."""

    def __post_init__(self) -> None:
        check_deviation(self.data_deviation)

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """The weight at ``t``."""
        return 1 + (sde.noise_to_signal(t) / self.data_deviation) ** 2


@dataclass(frozen=True, kw_only=True)
class MinSNRWeighting:
    """Weight ``min(gamma r^2, 1)``, r = noise_to_signal: levels of little noise count less.

    It is the ``min(1 / r^2, gamma)`` of Hang et al. 2023 (arXiv:2303.09556, sec. 3.4), which
    multiplies the error of the data, taken to the error of the noise.

    Raises:
      ValueError: unless ``gamma`` is positive.
    """

    gamma: float = 5.0
    """Largest signal-to-noise ratio that counts."""

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ValueError(f"`gamma` must be positive: got gamma={self.gamma}.")

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        """The weight at ``t``."""
        return jnp.minimum(self.gamma * sde.noise_to_signal(t) ** 2, 1.0)
