"""Names for arrays, and the two ways in which a per-example number meets a batch."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

__all__ = [
    "Array",
    "Bool",
    "Float",
    "Int",
    "Key",
    "PRNGKeyArray",
    "PyTree",
    "expand_like",
    "sum_except_batch",
]

PyTree = Any


def expand_like(coefficient: Float[Array, "*batch"], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Gives ``coefficient``, one number or one per example, the rank of ``x`` for broadcasting.

    Raises:
      ValueError: if ``coefficient`` has more dimensions than ``x``.
    """
    coefficient = jnp.asarray(coefficient)
    if coefficient.ndim > x.ndim:
        raise ValueError(
            f"coefficient of shape {coefficient.shape} has a higher rank than x of shape {x.shape}"
        )
    return coefficient.reshape(coefficient.shape + (1,) * (x.ndim - coefficient.ndim))


def sum_except_batch(x: Float[Array, "batch *shape"]) -> Float[Array, "batch"]:
    """Sums each example of ``x`` over all its dimensions."""
    return x.reshape(x.shape[0], -1).sum(axis=1)
