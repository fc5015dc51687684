"""Gradients of log densities: finite differences, and the memory that reverse mode takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import keys

from sde_jax.likelihood import Likelihood, MultistepLikelihood, even_times
from sde_jax.ode import AdaptiveSolver
from sde_jax.score import FunctionNetwork, NetworkScore, ScoreModel
from sde_jax.sde import VP

SDE, T_MIN = VP(), 1e-3


def adaptive():
    """A likelihood by adaptive solves, exact enough for finite differences."""
    return Likelihood(t_min=T_MIN, solver=AdaptiveSolver(rtol=1e-8, atol=1e-8, max_steps=1024))


def multistep():
    """One in fixed steps."""
    return MultistepLikelihood(times=even_times(SDE, T_MIN, 12))


SOLVERS = [pytest.param(adaptive, marks=pytest.mark.slow), multistep]


def network(params, x, time, condition):
    first, last = params
    return jnp.tanh(jnp.concatenate([x, time[:, None] / 999], axis=1) @ first + condition) @ last


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "quantity", ["log density", pytest.param("sample", marks=pytest.mark.slow)]
)
def test_gradients_are_finite_differences(solver, quantity, key):
    """With respect to examples, parameters and condition, along random directions in float64."""
    with jax.enable_x64(True):
        draw, model = (
            np.random.default_rng(0),
            ScoreModel(network=FunctionNetwork(network), sde=SDE),
        )
        sizes = (2, 2), ((3, 5), (5, 2)), (1, 5)
        x, params, condition = jax.tree.map(
            lambda size: jnp.asarray(draw.normal(size=size)), sizes, is_leaf=is_size
        )
        likelihood, all_keys = solver(), keys(key, 2)

        def quantity_of(x, params, condition):
            score = NetworkScore(params, model, condition)
            if quantity == "log density":
                return likelihood(all_keys, score, SDE, x).nats.sum()
            sample, density = likelihood.sample_and_log_density(all_keys, score, SDE, (2,))
            return (density.nats + (sample * x).sum(axis=1)).sum()

        inputs = x, params, condition
        value_of = jax.jit(quantity_of)
        gradients = jax.jit(jax.grad(quantity_of, argnums=(0, 1, 2)))(*inputs)
        for place in range(3):
            direction = jax.tree.map(
                lambda a: jnp.asarray(draw.normal(size=a.shape)), inputs[place]
            )

            def moved(step, place=place, direction=direction):
                there = jax.tree.map(lambda a, d: a + step * d, inputs[place], direction)
                return value_of(*inputs[:place], there, *inputs[place + 1 :])

            found = sum(map(jnp.vdot, *map(jax.tree.leaves, (gradients[place], direction))))
            expected = (moved(1e-5) - moved(-1e-5)) / 2e-5
            assert abs(expected) > 1e-3
            np.testing.assert_allclose(found, expected, rtol=1e-4)


def is_size(tree):
    return all(isinstance(length, int) for length in tree)


@pytest.mark.parametrize("solver", SOLVERS)
def test_reverse_mode_keeps_states_and_no_activations(solver, key):
    dimension, likelihood, weights = 16, solver(), jnp.ones((16, 1000))

    def score(x, t):
        return jnp.tanh(x @ weights) @ weights.T

    def kept(x):
        return jax.vjp(lambda x: likelihood(keys(key, 1), score, SDE, x).nats, x)[1]

    shapes = jax.tree.leaves(jax.eval_shape(kept, jnp.ones((1, dimension))))
    checkpoints = 13 if solver is multistep else int(np.sqrt(2 * 1024))
    assert sum(shape.size for shape in shapes) - weights.size < 4 * checkpoints * dimension
