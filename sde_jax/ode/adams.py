"""Coefficients of exponential Adams methods, which integrate a polynomial through past values."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float

# Gauss-Legendre nodes: exact in float64 for a step across 8 units of log noise.
_NODES = 16
# The largest amplification of errors that a step of each order may have. Equal short steps of
# orders 1 to 4 have 1, 2, 3.67 and 6.67.
_MOST_AMPLIFICATION = (1.0, 3.0, 4.4, 8.3)


class AdamsTable(NamedTuple):
    """The coefficients of each step ``y' = kept y + weights . D + deviation noise``."""

    kept: Float[Array, "steps"]
    weights: Float[Array, "steps order"]
    """Of the posterior means D at the start of the step, at the start of the one before, etc."""
    deviation: Float[Array, "steps"]
    corrections: Float[Array, "steps order+1"]
    """Of the posterior mean at the end of the step, then of those of `weights`."""


def adams_table(
    levels: Float[Array, "times"],
    order: int,
    orders: np.ndarray,
    *,
    eta: float = 0.0,
    bounded: bool = False,
) -> AdamsTable:
    """Returns the coefficients of the steps between values of noise_to_signal, in their type.

    A step multiplies errors of the posterior means by up to ``sum_j |w_j| / sum_j w_j``. This
    amplification grows with the ratio of a step to those before it. That of order 2 is 1 plus the
    ratio.

    Args:
      levels: the values, falling; without noise they may rise.
      order: the number of weights of a step.
      orders: the order of each step, at most the number of evaluations before its end.
      eta: the amount of noise, as in `ExponentialAdams`.
      bounded: lower the order of a step until its amplification is at most 3 for order 2, 4.4 for
        order 3, and 8.3 for order 4.
    """
    later, earlier = levels[:-1], levels[1:]
    # log(r / r'), exact for large and for small steps
    step = jnp.log1p((later - earlier) / earlier)
    decay = (1 + eta) * step
    # Without noise the square root of 0 would have no derivative.
    deviation = earlier * jnp.sqrt(-jnp.expm1(-2 * eta * step)) if eta else jnp.zeros_like(step)
    # Positions of the posterior means, in l, relative to the start of the step.
    lengths = jnp.pad(step, (order - 1, 0), constant_values=1.0)
    nodes = [
        -sum((lengths[order - 1 - k :][: step.size] for k in range(1, j + 1)), 0 * step)
        for j in range(order)
    ]
    weights, corrections = jnp.zeros((step.size, order)), jnp.zeros((step.size, order + 1))
    for used in range(1, order + 1):
        predicting = _weights(decay, step, nodes[:used])
        correcting = _weights(decay, step, [step, *nodes[:used]])
        taken = jnp.asarray(orders >= used)
        if bounded:
            amplification = jnp.abs(predicting).sum(axis=1) / -jnp.expm1(-decay)
            taken &= amplification <= _MOST_AMPLIFICATION[used - 1] + 1e-4
        unused = ((0, 0), (0, order - used))
        weights = jnp.where(taken[:, None], jnp.pad(predicting, unused), weights)
        corrections = jnp.where(taken[:, None], jnp.pad(correcting, unused), corrections)
    table = AdamsTable(jnp.exp(-decay), weights, deviation, corrections)
    return jax.tree.map(lambda column: column.astype(levels.dtype), table)


def _weights(decay: Array, step: Array, nodes: list[Array]) -> Float[Array, "steps nodes"]:
    """Returns the weights of values at ``nodes`` in the integral over a step from 0 to ``step``."""
    total = -jnp.expm1(-decay)
    if len(nodes) == 2:
        middle = (0.5 * step - nodes[0]) / (nodes[1] - nodes[0])
        return jnp.stack([total * (1 - middle), total * middle], axis=1)
    points, shares = np.polynomial.legendre.leggauss(_NODES)
    points = (points + 1) / 2
    density = decay[:, None] * jnp.exp(-decay[:, None] * (1 - points)[None]) * (shares / 2)[None]
    at = step[:, None] * points[None]
    others = []
    for j, node in enumerate(nodes[1:], start=1):
        basis = jnp.ones_like(at)
        for k, other in enumerate(nodes):
            if k != j:
                basis = basis * ((at - other[:, None]) / (node - other)[:, None])
        others.append((density * basis).sum(axis=1))
    return jnp.stack([total - sum(others), *others], axis=1)


def combine(weights: Float[Array, "means"], means: Float[Array, "means *state"]) -> Array:
    """Returns the weighted sum, at full precision on every device."""
    return jnp.tensordot(weights, means, axes=1, precision=jax.lax.Precision.HIGHEST)
