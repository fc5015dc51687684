"""A network read as a score, for a network so simple that the score is known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DEVIATION, MEAN, SDES, each_sde, gaussian

from sde_jax.score import (
    DataPrediction,
    DenoiserScore,
    LogNoiseLevel,
    NetworkScore,
    ScaledTime,
    ScoreModel,
    denoised,
)


class Affine(nn.Module):
    """``weight x + bias + time_weight time``, plus the condition; keeps what it was told."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        weight = self.param("weight", nn.initializers.constant(2.0), ())
        bias = self.param("bias", nn.initializers.constant(-1.0), ())
        slope = self.param("slope", nn.initializers.constant(0.5), ())
        self.sow("intermediates", "deterministic", deterministic)
        output = weight * x + bias + slope * time[:, None]
        return output if condition is None else output + condition[:, None]


@each_sde
def test_the_networks_noise_over_sigma_is_the_score(sde):
    model = ScoreModel(network=Affine(), sde=sde)
    params = model.init(jax.random.key(0), (3,))
    x, t = jnp.asarray([[1.0, 2.0, -1.0], [0.5, 0.0, 4.0]]), jnp.asarray([0.2, 0.9])
    expected = -(2 * x - 1 + 0.5 * 999 * t[:, None]) / sde.sigma(t)[:, None]
    np.testing.assert_allclose(NetworkScore(params, model)(x, t), expected, rtol=1e-5)
    one_time = NetworkScore(params, model)(x, t[1])
    np.testing.assert_allclose(one_time[1], expected[1], rtol=1e-5)


@each_sde
def test_a_network_that_is_the_exact_score_of_a_gaussian(sde):
    """At one time the score is affine in x, hence a setting of the network's weights."""
    t = jnp.asarray(0.4)
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    shrink = alpha * DEVIATION**2 / (alpha**2 * DEVIATION**2 + sigma**2)
    params = {"weight": shrink, "bias": MEAN * (1 - shrink * alpha), "slope": jnp.asarray(0.0)}
    model = ScoreModel(network=Affine(), sde=sde, parameterization=DataPrediction())
    score, x = NetworkScore(params, model), jnp.asarray([[-1.0, 0.3], [0.7, 2.0]])
    np.testing.assert_allclose(score(x, t), gaussian(2).score(sde, x, t), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        denoised(score, sde, x, t), gaussian(2).denoised(sde, x, t), rtol=1e-4
    )
    adapted = DenoiserScore(lambda x, t: params["weight"] * x + params["bias"], sde)
    np.testing.assert_allclose(adapted(x, t), score(x, t), rtol=1e-5)


@pytest.mark.parametrize("name", SDES)
def test_what_the_network_is_told_of_time(name):
    sde, t = SDES[name], jnp.asarray([0.3, 0.8])
    np.testing.assert_allclose(ScaledTime()(sde, t), 999 * t, rtol=1e-6)
    np.testing.assert_allclose(ScaledTime(scale=10.0)(sde, t), 10 * t, rtol=1e-6)
    levels = np.log(np.asarray(sde.sigma(t)) / np.asarray(sde.alpha(t)))
    np.testing.assert_allclose(LogNoiseLevel(scale=0.25)(sde, t), 0.25 * levels, rtol=1e-4)


@each_sde
def test_normalized_input_has_unit_size(sde):
    t = jnp.asarray([0.1, 0.5])
    model = ScoreModel(network=Affine(), sde=sde, normalize_input=True)
    params = {"weight": 1.0, "bias": 0.0, "slope": 0.0}
    size = jnp.hypot(sde.alpha(t), sde.sigma(t))[:, None]
    np.testing.assert_allclose(model.predict(params, 3 * size, t), [[3.0], [3.0]], rtol=1e-6)


def test_the_condition_reaches_the_network_and_is_traced():
    model = ScoreModel(network=Affine(), sde=SDES["vp"])
    params = model.init(jax.random.key(0), (1,), jnp.zeros(1))
    traces = []

    def evaluate(score, x):
        traces.append(None)
        return score(x, jnp.asarray(0.5))

    compiled, x = jax.jit(evaluate), jnp.ones((2, 1))
    plain = compiled(NetworkScore(params, model, jnp.zeros(2)), x)
    moved = compiled(NetworkScore(params, model, jnp.asarray([0.0, 3.0])), x)
    difference = -3.0 / SDES["vp"].sigma(jnp.asarray(0.5))
    np.testing.assert_allclose(moved - plain, [[0.0], [difference]], rtol=1e-5, atol=1e-4)
    assert len(traces) == 1


def test_dropout_is_on_where_there_is_a_key():
    class Dropped(nn.Module):
        @nn.compact
        def __call__(self, x, time, condition=None, *, deterministic):
            return nn.Dropout(0.5)(x, deterministic=deterministic)

    model = ScoreModel(network=Dropped(), sde=SDES["vp"])
    x, t = jnp.ones((1, 100)), jnp.asarray(0.5)
    np.testing.assert_array_equal(model.predict({}, x, t), x)
    dropped = model.predict({}, x, t, dropout_key=jax.random.key(0))
    assert set(np.unique(dropped)) == {0.0, 2.0}


def test_models_are_values():
    assert ScoreModel(network=Affine(), sde=SDES["vp"]) == ScoreModel(
        network=Affine(), sde=SDES["vp"]
    )
    assert hash(ScoreModel(network=Affine(), sde=SDES["vp"])) == hash(
        ScoreModel(network=Affine(), sde=SDES["vp"])
    )
