"""Drawing where each sample has a question of its own."""

from collections.abc import Callable
from typing import Any

import jax

from sde_jax.arrays import Array, Key, PyTree
from sde_jax.sampling.protocol import Samples


def draw_each(
    draw: Callable[[Key[Array, "1"], Any], Samples], keys: Key[Array, "batch"], questions: PyTree
) -> Samples:
    """One sample for each key and question: ``draw`` mapped over both, as batches of one.

    A score that is given something of its own for each example, such as an image to continue,
    cannot be one score for all: solvers with steps of their own ask for one example at a time, and
    do not say which. Here each has its own score, of one question.

    Args:
      draw: makes one sample of one key and of a question whose arrays have a batch of 1.
      keys: one for each sample.
      questions: arrays with a row for each sample.
    """

    def one(key: Array, question: PyTree) -> Samples:
        samples = draw(key[None], jax.tree.map(lambda array: array[None], question))
        return jax.tree.map(lambda array: array[0], samples)

    return jax.vmap(one)(keys, questions)
