"""Continuous batching: many computations of unequal length, a few at a time."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Bool, PyTree

__all__ = ["run_in_lanes"]

Example = TypeVar("Example", bound=PyTree)
State = TypeVar("State", bound=PyTree)
Result = TypeVar("Result", bound=PyTree)


def run_in_lanes(
    begin: Callable[[Example], State],
    step: Callable[[State, Example], State],
    done: Callable[[State], Bool[Array, ""]],
    result: Callable[[State], Result],
    examples: Example,
    *,
    lanes: int,
) -> Result:
    """Begins with each of many examples and steps until it is done, ``lanes`` at once.

    A lane whose example is done takes the next one that waits, so that none idles for the slowest
    before the last have begun. An example is stepped at least once.

    Args:
      begin: the first state, of an example.
      step: the next state, of a state and its example.
      done: whether a state needs no further step.
      result: what is kept of a state that is done.
      examples: arrays of a row for each.
      lanes: examples at once; at most all.

    Returns:
      The results, a row for each example.
    """
    examples = jax.tree.map(jnp.asarray, examples)
    count = len(jax.tree.leaves(examples)[0])
    lanes = min(lanes, count)

    def rows(arrays: PyTree, index: Array) -> PyTree:
        return jax.tree.map(lambda array: array[jnp.minimum(index, count - 1)], arrays)

    def advance(carry: tuple[Array, Array, State, Result]) -> tuple[Array, Array, State, Result]:
        index, waiting, active, results = carry
        active = jax.vmap(step)(active, rows(examples, index))
        ended = jax.vmap(done)(active)
        # A lane for which nothing is left has an index beyond the last, and is heard no more.
        places = jnp.where(ended, index, count)
        results = jax.tree.map(
            lambda whole, some: whole.at[places].set(some, mode="drop"),
            results,
            jax.vmap(result)(active),
        )
        index = jnp.where(ended, waiting + jnp.cumsum(ended) - 1, index)
        active = jax.tree.map(
            lambda new, old: jax.vmap(jnp.where)(ended, new, old), rows(states, index), active
        )
        return index, waiting + ended.sum(), active, results

    turns = jnp.arange(-(-count // lanes) * lanes).reshape(-1, lanes)
    begun = jax.lax.map(lambda index: jax.vmap(begin)(rows(examples, index)), turns)
    states = jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:])[:count], begun)
    shapes = jax.eval_shape(jax.vmap(result), states)
    results = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    carry = turns[0], jnp.asarray(lanes), rows(states, turns[0]), results
    return jax.lax.while_loop(lambda carry: (carry[0] < count).any(), advance, carry)[-1]
