"""Gaussian transitions of a linear SDE between two times."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax.numpy as jnp

from sde_jax.sde.base import LinearSDE, Time


class Transition(NamedTuple):
    """``x_t = scale x_s + sqrt(variance) noise`` for s < t."""

    scale: Time
    variance: Time
    posterior_variance: Time
    """Variance of ``x_s`` given both ``x_t`` and the data ``x_0``."""


class TransitionRule(Protocol):
    """The transition that a sampler uses for ``sde`` from time ``s`` to a later time ``t``."""

    def __call__(self, sde: LinearSDE, s: Time, t: Time) -> Transition: ...


def transition(sde: LinearSDE, s: Time, t: Time) -> Transition:
    """Returns the exact transition from time ``s`` to a later time ``t``.

    ::

        scale = alpha(t) / alpha(s)     variance = alpha(t)^2 (r(t)^2 - r(s)^2),  r = sigma / alpha
        posterior_variance = variance sigma(s)^2 / sigma(t)^2

    (Kingma et al. 2021, arXiv:2107.00630, eq. 20; the posterior by Bayes' rule.) The difference of
    squares is computed as a product, which is more accurate in float32.
    """
    earlier, later = sde.noise_to_signal(s), sde.noise_to_signal(t)
    scale = jnp.exp(sde.log_alpha(t) - sde.log_alpha(s))
    variance = sde.alpha(t) ** 2 * (later - earlier) * (later + earlier)
    return Transition(scale, variance, variance * (sde.sigma(s) / sde.sigma(t)) ** 2)


@dataclass(frozen=True, kw_only=True)
class ExactTransition:
    """The exact `transition` of every SDE along the sampler's grid."""

    def __call__(self, sde: LinearSDE, s: Time, t: Time) -> Transition:
        return transition(sde, s, t)
