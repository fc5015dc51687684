"""Tests of the cross-entropy against scipy, and of its parts against the whole."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from sde_jax.arrays import strided_parts
from sde_jax.objectives import CrossEntropy
from sde_jax.randomness import example_seeds

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
LABELS = np.array([0, 2, 1, 1, 0, 2])
WEIGHTS = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)


def logits(params, x, dropout_key):
    dropped = 0 if dropout_key is None else jax.random.normal(dropout_key, (len(x), 1)) * x[:, :1]
    return (x + dropped) @ params


losses_of = jax.jit(CrossEntropy(logits=logits).losses, static_argnames="deterministic")


def test_losses_are_minus_the_log_probability_of_the_label(key):
    seeds = example_seeds(key, 6)
    losses = losses_of(WEIGHTS, seeds, X, LABELS, deterministic=True)
    expected = -scipy.special.log_softmax(X @ WEIGHTS, axis=1)[np.arange(6), LABELS]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    even = losses_of(np.zeros_like(WEIGHTS), seeds, X, LABELS, deterministic=True)
    np.testing.assert_allclose(even, np.log(3), rtol=1e-6)


def test_parts_are_the_whole_and_have_dropout_of_their_own(key):
    given = example_seeds(key, 6), jnp.asarray(X), jnp.asarray(LABELS)
    for deterministic in (True, False):
        whole = losses_of(WEIGHTS, *given, deterministic=deterministic)
        for index, part_given in enumerate(strided_parts(given, 2)):
            part = losses_of(WEIGHTS, *part_given, deterministic=deterministic)
            assert np.allclose(part, whole[index::2], rtol=1e-5) == deterministic
