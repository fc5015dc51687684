"""The learned dequantizer against numpy, numeric derivatives and a density in closed form."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from cases import keys
from scipy.special import expit

from sde_jax.baselines import DequantizingFlowSpec, FlowDequantization
from sde_jax.baselines.dequantizing_flow import DequantizingFlow
from sde_jax.data import Batch
from sde_jax.likelihood import DiscreteLikelihood, LogLikelihoods, UniformDequantization
from sde_jax.training import gradient_learner

MODEL = DequantizingFlow(network=DequantizingFlowSpec(width=8, couplings=2).build())
HALF = 0.2
LAW = scipy.stats.multivariate_normal([0.3, -0.2], [[0.05, 0.03], [0.03, 0.06]])
MEAN, PEAK = jnp.asarray(LAW.mean, jnp.float32)[None], LAW.logpdf(LAW.mean)
PRECISION = jnp.asarray(np.linalg.inv(LAW.cov), jnp.float32)
MIDDLES = np.array([[a, b] for a in (-0.2, 0.2, 0.6) for b in (-0.6, -0.2, 0.2)])
COPIES = 200


def random_params(shape):
    """Parameters of which none is zero."""
    random = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: MODEL.init(key, shape), jax.random.key(0))
    return jax.tree.map(lambda leaf: random.normal(0, 0.3, leaf.shape).astype("f"), shapes)


def density_by_numpy(params, logistic, x):
    """The noise in units of half a bin, and its log density, for points."""
    y = np.float64(logistic)
    log_q = scipy.stats.logistic.logpdf(y).sum(axis=1)
    for number in range(2):
        own = jax.tree.map(np.float64, params[f"couplings_{number}"])
        kept = np.arange(y.shape[1]) % 2 == number
        layers = next(value for name, value in own.items() if name != "factor")
        hidden = np.concatenate([kept * y, x], axis=1) @ layers["Dense_0"]["kernel"]
        hidden = hidden + layers["Dense_0"]["bias"]
        output = (hidden * expit(hidden)) @ layers["Dense_1"]["kernel"] + layers["Dense_1"]["bias"]
        raw, shift = np.split(output, 2, axis=1)
        log_scale = ~kept * own["factor"] * np.tanh(raw)
        y, log_q = y * np.exp(log_scale) + ~kept * shift, log_q - log_scale.sum(axis=1)
    slopes = 2 * expit(y) * expit(-y)
    return 2 * expit(y) - 1, log_q - np.log(slopes).sum(axis=1)


def test_noise_and_density_are_those_of_numpy():
    random = np.random.default_rng(1)
    logistic, x = (random.normal(size=(6, 3)).astype("f") for _ in range(2))
    params = random_params((3,))
    v, log_q = MODEL.transform(params, logistic, x)
    expected = density_by_numpy(params, logistic, x)
    np.testing.assert_allclose(v, expected[0], atol=1e-5)
    np.testing.assert_allclose(log_q, expected[1], atol=1e-4)


def test_it_starts_as_uniform_noise(key):
    params = MODEL.init(key, (3,))
    v, log_q = MODEL.draw(params, keys(key, 500), jnp.zeros((500, 3)))
    np.testing.assert_allclose(log_q, -3 * math.log(2), atol=1e-5)
    assert scipy.stats.kstest(np.ravel(v), scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-3


def score(x):
    """The exact one of `LAW`."""
    return -(x - MEAN) @ PRECISION


@functools.cache
def trained():
    """Parameters that were trained for `LAW` in its bins, and the last losses."""
    learner = gradient_learner(
        lambda key: MODEL.init(key, (2,)),
        lambda params, seeds, batch, **mode: MODEL.losses(params, seeds, batch.x, score, HALF),
        optax.adam(0.03),
        ema_decay=0.97,
    )
    batch, update = Batch(jnp.tile(jnp.float32(MIDDLES), (30, 1)), None), jax.jit(learner.update)
    state, losses = learner.init(jax.random.key(0)), []
    for step in range(150):
        state, metrics = update(state, jax.random.fold_in(jax.random.key(1), step), batch)
        losses.append(float(metrics["loss"]))
    return state.ema_params, np.mean(losses[-30:])


def masses():
    """The exact probabilities of the bins."""
    sides = itertools.product((1, -1), repeat=2)
    return sum(a * b * LAW.cdf(MIDDLES + HALF * np.array([a, b])) for a, b in sides)


def exact_density(keys, score, sde, z):
    nats = -0.5 * jnp.vecdot(z - MEAN, (z - MEAN) @ PRECISION) + PEAK
    ones = jnp.ones(len(z), int)
    return LogLikelihoods(nats, None, ones, ones > 0)


def gaps(dequantizer, draws, key):
    """Mean shortfall of the bound in each bin in bits per dimension, and its standard error."""
    bound = DiscreteLikelihood(likelihood=exact_density, dequantizer=dequantizer, draws=draws)
    x = jnp.repeat(jnp.float32(MIDDLES), COPIES, axis=0)
    nats = np.float64(bound(keys(key, len(x)), None, None, x).nats).reshape(-1, COPIES)
    short = (np.log(masses())[:, None] - nats) / (2 * math.log(2))
    return short.mean(axis=1), short.std(axis=1, ddof=1) / math.sqrt(COPIES)


def test_it_tightens_the_bound_on_the_mass_of_each_bin(key):
    """Below the mass, far nearer to it than uniform noise, nearer with draws; .001 bits at 50."""
    params, _ = trained()
    learned = FlowDequantization(model=MODEL, params=params, half_width=HALF)
    found = {draws: gaps(learned, draws, key) for draws in (1, 5, 50)}
    for mean, stderr in found.values():
        assert np.all(mean > -5 * stderr - 1e-5)
    uniform, _ = gaps(UniformDequantization(half_width=HALF), 1, key)
    one, five, fifty = (mean.mean() for mean, _ in found.values())
    assert one < uniform.mean() / 4
    assert one > 2 * five and five > fifty
    assert fifty < 0.001


def test_its_loss_is_the_shortfall_of_the_bound(key):
    """But for the density in the middle of a bin: the integral of the score is that of log p."""
    params, loss = trained()
    dequantizer = FlowDequantization(model=MODEL, params=params, half_width=HALF)
    short, stderr = gaps(dequantizer, 1, key)
    even = LAW.logpdf(MIDDLES) + 2 * math.log(2 * HALF)
    expected = short * math.log(2) + (even - np.log(masses())) / 2
    assert loss == pytest.approx(expected.mean(), abs=0.01)
