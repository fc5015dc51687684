"""Weights of the error at each time."""

from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp

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
