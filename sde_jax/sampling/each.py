"""Sampling with a different condition for each sample."""

from collections.abc import Callable
from typing import Any

import jax

from sde_jax.arrays import Array, Key, Keys, PyTree
from sde_jax.sampling.protocol import Samples


def draw_each(
    draw: Callable[[Key[Array, "1"], Any], Samples], keys: Keys, conditions: PyTree
) -> Samples:
    """Draws one sample per key and condition, by `jax.vmap` over batches of one.

    Adaptive solvers evaluate the score of one example at a time and do not pass its index, so one
    score cannot hold the conditions of all. Here each sample gets a score of its own.

    Args:
      draw: draws one sample, given one key and a condition whose arrays have a batch of 1.
      keys: one per sample.
      conditions: arrays with one row per sample.
    """

    def one(key: Array, condition: PyTree) -> Samples:
        samples = draw(key[None], jax.tree.map(lambda array: array[None], condition))
        return jax.tree.map(lambda array: array[0], samples)

    return jax.vmap(one)(keys, conditions)
