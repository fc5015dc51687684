"""Many computations in few lanes: each as alone, and no lane idle while something waits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.score.queue import run_in_lanes

LENGTHS = np.array([3, 1, 7, 2, 2, 9, 1, 1, 4])
NUMBERS = np.arange(1.0, 1 + len(LENGTHS))


def summed(lanes, rounds=None):
    """Steps taken and the number of each example, added to itself as often as its length says."""

    def begin(example):
        return example[0], jnp.zeros((), int), jnp.zeros(2)

    def step(state, example):
        if rounds is not None:
            jax.debug.callback(lambda: rounds.append(None))
        left, steps, total = state
        return left - 1, steps + 1, total + example[1]

    done, result = (lambda state: state[0] <= 0), (lambda state: state[1:])
    run = jax.jit(lambda *given: run_in_lanes(begin, step, done, result, given, lanes=lanes))
    return run(jnp.asarray(LENGTHS), jnp.asarray(NUMBERS))


@pytest.mark.parametrize("lanes", [1, 2, 4, 9, 50])
def test_each_ends_as_alone_and_in_its_place(lanes):
    steps, totals = summed(lanes)
    np.testing.assert_array_equal(steps, LENGTHS)
    np.testing.assert_array_equal(totals, np.stack([LENGTHS * NUMBERS] * 2, axis=1))


@pytest.mark.parametrize("lanes", [1, 2, 3, 9])
def test_no_lane_idles_while_something_waits(lanes):
    rounds, free = [], np.zeros(lanes, int)
    for length in LENGTHS:
        free[free.argmin()] += length
    jax.block_until_ready(summed(lanes, rounds))
    jax.effects_barrier()
    assert len(rounds) == free.max()
