"""Names for arrays, how a per-example number meets a batch, and parts of a batch."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

__all__ = [
    "WHOLE",
    "Array",
    "Bool",
    "Float",
    "Int",
    "Key",
    "PRNGKeyArray",
    "Part",
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


@dataclasses.dataclass(frozen=True)
class Part:
    """One of ``count`` equal parts of a batch: its examples ``index``, ``index + count``, ...

    Taken so, each device of a batch that is spread over devices has its share of every part.
    """

    index: int
    count: int

    def of(self, batch: PyTree) -> PyTree:
        """That part of each array; ``count`` must divide their lengths."""
        if self.count == 1:
            return batch
        return jax.tree.map(lambda x: x.reshape(-1, self.count, *x.shape[1:])[:, self.index], batch)

    def key(self, key: PRNGKeyArray) -> PRNGKeyArray:
        """A key of its own; ``key`` itself for the whole."""
        return key if self.count == 1 else jax.random.fold_in(key, self.index)


WHOLE = Part(0, 1)
"""All of a batch."""
