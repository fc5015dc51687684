"""Conditional score models and regressions, on a joint Gaussian whose conditionals are known."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import SDES, keys

from sde_jax.arrays import strided_parts
from sde_jax.baselines.conditional import ConditionalDiffusion
from sde_jax.data import Batch
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.randomness import example_seeds
from sde_jax.sampling import (
    Ancestral,
    ExponentialAdams,
    LogSNRGrid,
    PredictorCorrector,
    ProbabilityFlow,
    UniformGrid,
)
from sde_jax.score import ScoreModel
from sde_jax.sde import VP
from sde_jax.training.learner import gradient_learner

MEAN = np.array([0.7, -0.3])
COVARIANCE = np.array([[0.6, 0.2], [0.2, 0.3]])
WEIGHTS = np.array([0.3, 0.8])
SHAPE = (1, 1, 2)


@dataclasses.dataclass(frozen=True)
class Weighted:
    """Images of one pixel with two channels; y is a weighted sum of these."""

    def __call__(self, x):
        return (x * jnp.asarray(WEIGHTS, jnp.float32)[None, None, None]).sum(-1, keepdims=True)


def conditional(y):
    """Mean and covariance of x given y, by the textbook's formula."""
    gain = COVARIANCE @ WEIGHTS / (WEIGHTS @ COVARIANCE @ WEIGHTS)
    covariance = COVARIANCE - np.outer(gain, COVARIANCE @ WEIGHTS)
    return MEAN + gain * (y - WEIGHTS @ MEAN), covariance


class Exact(nn.Module):
    """The noise that is expected given x_t and y, without a parameter."""

    sde: object

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        gain = COVARIANCE @ WEIGHTS / (WEIGHTS @ COVARIANCE @ WEIGHTS)
        y = condition.image.reshape(-1, 1)
        mean = MEAN[None] + gain[None] * (y - WEIGHTS @ MEAN)
        alpha, sigma = (c(time / 999) for c in (self.sde.alpha, self.sde.sigma))
        variances, axes = np.linalg.eigh(conditional(0.0)[1])
        noised = alpha[:, None] ** 2 * variances[None] + sigma[:, None] ** 2
        offset = (x.reshape(-1, 2) - alpha[:, None] * mean) @ axes
        return (sigma[:, None] * offset / noised @ axes.T).reshape(x.shape)


class Small(nn.Module):
    """A perceptron of x, y, and the time."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic=True):
        t = time[:, None] / 999
        given = [x.reshape(len(x), -1), condition.image.reshape(len(x), -1), t, t**2, t**0.25]
        h = jnp.concatenate(given, axis=1)
        for _ in range(2):
            h = nn.silu(nn.Dense(48)(h))
        return nn.Dense(2)(h).reshape(x.shape)


class Product(nn.Module):
    """One product of x and y by weights."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic=True):
        h = jnp.concatenate([x, condition.image], axis=-1)
        return nn.Dense(2, use_bias=False)(h)


def diffusion(network, sde):
    model = ScoreModel(network=network, sde=sde)
    return ConditionalDiffusion(
        objective=DenoisingScoreMatching(model=model), degradation=Weighted()
    )


SAMPLERS = {
    "ancestral": PredictorCorrector(grid=UniformGrid(steps=400), predictor=Ancestral()),
    "flow": ProbabilityFlow(),
    "unipc": ExponentialAdams(grid=LogSNRGrid(steps=40)),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == "unipc" else pytest.mark.slow) for n in SAMPLERS]
)
@pytest.mark.parametrize("sde", ["vp", "ve"])
def test_samples_of_an_exact_network_have_the_conditional_mean_and_covariance(name, sde, key):
    """Each of two y, side by side in one batch."""
    model, count = diffusion(Exact(SDES[sde]), SDES[sde]), 4000
    y = np.array([1.2, -0.4])
    given = jnp.asarray(np.tile(y, count), jnp.float32).reshape(-1, 1, 1, 1)
    draw = jax.jit(lambda keys, y: model.sample({"score": {}}, keys, y, SAMPLERS[name], 2))
    samples = draw(keys(key, 2 * count), given)
    assert samples.converged.all()
    for which, value in enumerate(y):
        x = np.asarray(samples.x[which::2], np.float64).reshape(count, 2)
        mean, covariance = conditional(value)
        z = (x.mean(axis=0) - mean) / np.sqrt(np.diag(covariance) / count)
        # Steps and the end at noise .01 leave some hundredths of a deviation.
        assert np.all(np.abs(z) < 5 + 0.03 * count**0.5), z
        np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.1 * covariance.max())


@pytest.fixture(scope="module")
def trained():
    """Both networks after 2000 steps on draws from the joint Gaussian."""
    model = diffusion(Small(), VP())
    root = jnp.asarray(np.linalg.cholesky(COVARIANCE), jnp.float32)

    def losses(params, seeds, batch, *, deterministic):
        return model.losses(params, seeds, batch.x, deterministic=deterministic)

    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, 2000))
    learner = gradient_learner(
        lambda key: model.init(key, SHAPE), losses, optimizer, ema_decay=0.99
    )

    def step(state, key):
        key_data, key_update = jax.random.split(key)
        x = jax.random.normal(key_data, (256, 2)) @ root.T + jnp.asarray(MEAN, jnp.float32)[None]
        return learner.update(state, key_update, Batch(x.reshape(-1, *SHAPE), None))

    state = learner.init(jax.random.key(0))
    state, _ = jax.jit(lambda s, k: jax.lax.scan(step, s, k))(state, keys(jax.random.key(1), 2000))
    return model, state.ema_params


@pytest.mark.slow("test_each_network_learns_its_part")
def test_a_trained_regression_gives_the_mean_and_a_trained_model_the_whole(trained, key):
    (model, params), count = trained, 2000
    draw = jax.jit(lambda keys, y: model.sample(params, keys, y, SAMPLERS["unipc"], 2))
    regress = jax.jit(lambda y: model.regress(params, y, 2))
    for number, y in enumerate((0.1, 0.9)):
        given = jnp.full((count, 1, 1, 1), y)
        mean, covariance = conditional(y)
        regressed = regress(given[:1]).reshape(2)
        np.testing.assert_allclose(regressed, mean, atol=0.03)
        x = draw(keys(jax.random.fold_in(key, number), count), given).x.reshape(count, 2)
        np.testing.assert_allclose(x.mean(axis=0), mean, atol=0.06)
        np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.2 * covariance.max())


def test_parts_of_a_batch_have_the_losses_of_the_whole(key):
    model = diffusion(Product(), VP())

    @jax.jit
    def run(key):
        params = model.init(key, SHAPE)
        given = example_seeds(key, 6), jax.random.normal(key, (6, *SHAPE))
        losses = functools.partial(model.losses, params, deterministic=True)
        return losses(*given), losses(*strided_parts(given, 2)[1])

    whole, part = run(key)
    np.testing.assert_allclose(part, whole[1::2], rtol=1e-5)


def test_each_network_learns_its_part(key):
    """The gradient of the regression's weights is that of least squares of x by y, and a regression
    is the product by these weights."""
    model = diffusion(Product(), VP())

    @jax.jit
    def run(key):
        params = model.init(key, SHAPE)
        x = jax.random.normal(key, (6, *SHAPE))

        def loss(params):
            return model.losses(params, example_seeds(key, 6), x, deterministic=True).mean()

        y = model.degradation(x)
        return params, x, jax.grad(loss)(params), y, model.regress(params, y, 2)

    params, x, grads, y, regressed = run(key)
    weights = np.asarray(params["regression"]["Dense_0"]["kernel"], np.float64)
    y, error = np.reshape(y, (6, 1)), np.reshape(regressed - x, (6, 2))
    np.testing.assert_allclose(np.reshape(regressed, (6, 2)), y @ weights[-1:], rtol=1e-5)
    gradient = y.T @ error / 6
    np.testing.assert_allclose(grads["regression"]["Dense_0"]["kernel"][-1:], gradient, rtol=1e-4)
    assert np.abs(grads["score"]["Dense_0"]["kernel"]).min() > 1e-4
