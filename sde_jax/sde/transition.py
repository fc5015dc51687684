"""The Gaussian transition of a linear SDE between two times."""

from typing import NamedTuple

import jax.numpy as jnp

from sde_jax.sde.base import LinearSDE, Time


class Transition(NamedTuple):
    """``x_t = scale x_s + sqrt(variance) noise`` for s < t."""

    scale: Time
    variance: Time


def transition(sde: LinearSDE, s: Time, t: Time) -> Transition:
    """The exact transition from time ``s`` to a later time ``t``.

    ::

        scale = alpha(t) / alpha(s)     variance = alpha(t)^2 (r(t)^2 - r(s)^2),  r = sigma / alpha

    (Kingma et al. 2021, arXiv:2107.00630, eq. 20.) The difference of squares is taken as a product,
    which loses least in float32.
    """
    earlier, later = sde.noise_to_signal(s), sde.noise_to_signal(t)
    scale = jnp.exp(sde.log_alpha(t) - sde.log_alpha(s))
    variance = sde.alpha(t) ** 2 * (later - earlier) * (later + earlier)
    return Transition(scale, variance)
