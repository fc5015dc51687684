"""Weightings of the loss over time."""

from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp

from sde_jax.sde import LinearSDE
from sde_jax.sde.base import Time
from sde_jax.validation import Positive, Spec


class Weighting(Protocol):
    """Weight of the squared error ``|sigma score + noise|^2`` of the predicted noise at time t."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time: ...


@dataclass(frozen=True, kw_only=True)
class NoiseWeighting:
    """Weight 1 at every noise level, which gives the best samples (Ho et al. 2020)."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        return jnp.ones_like(t)


@dataclass(frozen=True, kw_only=True)
class LikelihoodWeighting:
    """Weight ``g^2 / sigma^2``, which bounds the likelihood (Song et al. 2021b, thm. 1).

    Up to a constant, half of the loss integrated over time is an upper bound of the negative log
    likelihood (arXiv:2101.09258).
    """

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        return sde.diffusion_squared(t) / sde.sigma(t) ** 2


@dataclass(frozen=True, kw_only=True)
class EDMWeighting(Spec):
    """Weight ``1 + (r / d)^2``, r = noise_to_signal and d the standard deviation of the data.

    It equals the weight ``(r^2 + d^2) / (r d)^2`` of the data error in Karras et al. 2022
    (arXiv:2206.00364, table 1), converted to the noise error. The output of `EDMPrediction` then
    has the same weight at every level.
    """

    data_deviation: Positive = 0.5
    """Standard deviation d of the data."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        return 1 + (sde.noise_to_signal(t) / self.data_deviation) ** 2


@dataclass(frozen=True, kw_only=True)
class FlowWeighting:
    """Weight ``(1 + r)^2``, r = noise_to_signal: the loss of flow matching.

    It converts the squared error of the velocity ``noise - x0``, the output of `FlowPrediction`
    (Lipman et al. 2023, arXiv:2210.02747, eq. 14), to the noise error.
    """

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        return (1 + sde.noise_to_signal(t)) ** 2


@dataclass(frozen=True, kw_only=True)
class MinSNRWeighting(Spec):
    """Weight ``min(gamma r^2, 1)``, r = noise_to_signal, which is smaller at low noise levels.

    It equals the weight ``min(1 / r^2, gamma)`` of the data error in Hang et al. 2023
    (arXiv:2303.09556, sec. 3.4), converted to the noise error.
    """

    gamma: Positive = 5.0
    """Upper limit of the signal-to-noise ratio."""

    def __call__(self, sde: LinearSDE, t: Time) -> Time:
        return jnp.minimum(self.gamma * sde.noise_to_signal(t) ** 2, 1.0)
