"""Gradients accumulated over parts of a batch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toy_run import changed

from experiments.ring import ring
from sde_jax.arrays import strided_parts
from sde_jax.data import Batch
from sde_jax.nets.mlp import MLPSpec
from sde_jax.objectives import (
    DenoisingScoreMatching,
    ImplicitScoreMatching,
    LikelihoodTimes,
    SlicedScoreMatching,
    StratifiedTimes,
    UniformTimes,
)
from sde_jax.randomness import example_seeds
from sde_jax.score import ScoreModel
from sde_jax.sde import VP
from sde_jax.training import batch_sharding, data_mesh, gradient_learner, replicate
from sde_jax.training.learner import mean_gradient

RING = ring()
SMALL = dataclasses.replace(RING, network=dataclasses.replace(RING.network, width=16, depth=1))


def updated(accumulate, key, mesh):
    """State and metrics of a step of the ring."""
    training = dataclasses.replace(RING.training, accumulate=accumulate)
    learner = dataclasses.replace(SMALL, training=training).learner((2,))
    points = jax.random.normal(key, (64, 2)) * jnp.array([[1.0, 0.3]])
    batch = jax.device_put(Batch(points, None), batch_sharding(mesh))
    return jax.jit(learner.update)(replicate(learner.init(key), mesh), key, batch)


@pytest.mark.slow("test_loss_and_gradient_of_three_parts_are_those_of_the_whole")
@pytest.mark.parametrize(("accumulate", "devices"), [(2, 8), (4, 1)])
def test_a_step_in_parts_is_the_step_undivided(key, accumulate, devices):
    whole, metrics = updated(1, key, data_mesh(jax.devices()[:devices]))
    state, others = updated(accumulate, key, data_mesh(jax.devices()[:devices]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), metrics, dict(others))
    # Adam's first moment is a tenth of the clipped gradient: it shows the gradient itself.
    moments = [optax.tree.get(s.opt_state, "mu") for s in (whole, state)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7), *moments)


COMBINATIONS = [
    (DenoisingScoreMatching, StratifiedTimes()),
    pytest.param(DenoisingScoreMatching, LikelihoodTimes(), marks=pytest.mark.slow),
    pytest.param(DenoisingScoreMatching, UniformTimes(), marks=pytest.mark.slow),
    pytest.param(SlicedScoreMatching, StratifiedTimes(), marks=pytest.mark.slow),
    pytest.param(SlicedScoreMatching, LikelihoodTimes(), marks=pytest.mark.slow),
    pytest.param(SlicedScoreMatching, UniformTimes(), marks=pytest.mark.slow),
    pytest.param(ImplicitScoreMatching, StratifiedTimes(), marks=pytest.mark.slow),
    pytest.param(ImplicitScoreMatching, LikelihoodTimes(), marks=pytest.mark.slow),
    pytest.param(ImplicitScoreMatching, UniformTimes(), marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "times"), COMBINATIONS)
def test_loss_and_gradient_of_three_parts_are_those_of_the_whole(kind, times, key):
    model = ScoreModel(network=MLPSpec(width=16, depth=1).build(), sde=VP())
    objective = kind(model=model, times=times)

    def losses(params, seeds, batch, *, deterministic):
        return objective.losses(params, seeds, batch.x, deterministic=deterministic)

    @jax.jit
    def run(key):
        params = jax.tree.map(lambda x: x + 0.1, model.init(key, (2,)))
        given = params, example_seeds(key, 24), Batch(jax.random.normal(key, (24, 2)), None)
        return [mean_gradient(losses, *given, count) for count in (1, 3)]

    whole, parts = run(key)
    # Rounding is relative to the terms of a sum, which cancel in implicit score matching.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), parts, whole)
    assert optax.tree.norm(whole[1]) > 0.01


def test_the_gradient_is_the_mean_over_all_examples(key):
    """The loss of example x is x * w: the gradient of the mean is the mean of x."""

    def losses(params, seeds, batch, *, deterministic):
        seen.append(np.asarray(batch.x).tolist())
        return batch.x * params["w"]

    seen = []
    learner = gradient_learner(
        lambda key: {"w": jnp.float32(2.0)}, losses, optax.sgd(0.5), ema_decay=0.0, accumulate=3
    )
    batch = Batch(jnp.array([1.0, 2.0, 3.0, 4.0, 5.0, 9.0]), None)
    with jax.disable_jit():
        state, metrics = learner.update(learner.init(key), key, batch)
    assert seen == [[1.0, 4.0], [2.0, 5.0], [3.0, 9.0]]
    assert metrics["loss"] == pytest.approx(8.0)
    assert metrics["grad_norm"] == pytest.approx(4.0)
    assert state.params["w"] == pytest.approx(0.0)


def test_parts_hold_every_example_once_and_a_share_of_each_device(key):
    x = jnp.arange(24)
    keys = jax.random.split(key, 24)
    batch = {"x": x, "pair": jnp.stack([x, -x], axis=1), "none": None, "key": keys}
    parts = strided_parts(batch, 3)
    assert sorted(np.concatenate([part["x"] for part in parts]).tolist()) == x.tolist()
    for index, part in enumerate(parts):
        assert (part["key"] == keys[index::3]).all()
        np.testing.assert_array_equal(part["pair"], np.stack([part["x"], -part["x"]], axis=1))
        np.testing.assert_array_equal(part["x"] // 3, np.arange(8))
    jax.tree.map(np.testing.assert_array_equal, strided_parts(batch["pair"], 1), [batch["pair"]])


def test_parts_that_devices_cannot_share_are_refused():
    changed(batch_size=32, accumulate=4).check_devices(data_mesh())
    with pytest.raises(ValueError, match="multiple of the 8 devices times accumulate=4: got"):
        changed(batch_size=16, accumulate=4).check_devices(data_mesh())
    with pytest.raises(ValueError, match="`accumulate` must be at least 1: got accumulate=0"):
        changed(accumulate=0)
