"""A network read as the probability of a class, where that is known: components of a mixture."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import SDES, each_name_slowly, plane_mixture, plane_mixture_arrays
from posterior_network import Outputs, log_posterior, params_of, posterior_model

from sde_jax.score import ClassifierModel, ClassLogProbability, LogNoiseLevel, ScaledTime
from sde_jax.sde import VP

MIXTURE = oracles.Mixture(*plane_mixture_arrays())
TIMES = np.array([0.03, 0.2, 0.5, 0.95])
POINTS = np.array([[-0.6, 0.4], [0.7, -0.1], [0.1, 0.2], [1.3, -1.1]], np.float32)


@functools.cache
def coefficients(name):
    """alpha and sigma at each of TIMES, by numerical integration."""
    process = oracles.PROCESSES[name]
    return [(process.alpha(t), process.sigma(t)) for t in TIMES]


def network_points(name):
    """Noisy points, one for each of TIMES, of the size that they have there."""
    return np.stack(
        [a * p + s * p[::-1] for (a, s), p in zip(coefficients(name), POINTS, strict=True)]
    ).astype(np.float32)


@each_name_slowly
def test_it_is_the_posterior_of_its_logits(name):
    """Against scipy, to rounding; the logits are not normalized, the probabilities are."""
    model, x = posterior_model(SDES[name]), network_points(name)
    found = np.asarray(jax.jit(model.log_probabilities)(params_of(MIXTURE), x, TIMES))
    expected = np.concatenate(
        [
            log_posterior(MIXTURE.noised(*of_time), x[index : index + 1])
            for index, of_time in enumerate(coefficients(name))
        ]
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(np.exp(found.astype(np.float64)).sum(axis=1), 1, rtol=1e-6)
    assert found.dtype == np.float32


@each_name_slowly
def test_bayes_rule_of_the_scores(name):
    """The gradient in x plus the score of all data is the score of the component, by scipy."""
    sde, x, params = SDES[name], network_points(name), params_of(MIXTURE)
    label = jnp.asarray([0, 1, 0, 1])
    of_label = ClassLogProbability(params, label, posterior_model(sde))

    @jax.jit
    def sum_of_scores(of_label, x):
        gradient = jax.grad(lambda x: of_label(x, TIMES).sum())(x)
        return gradient + plane_mixture().score(sde, x, jnp.asarray(TIMES))

    for index, (alpha, sigma) in enumerate(coefficients(name)):
        chosen = slice(int(label[index]), int(label[index]) + 1)
        alone = oracles.Mixture(np.ones(1), MIXTURE.means[chosen], MIXTURE.covariances[chosen])
        expected = alone.noised(alpha, sigma).score(x[index : index + 1])[0]
        found = sum_of_scores(of_label, x)[index]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_one_label_and_one_time_are_those_of_all():
    model, params, x = posterior_model(VP()), params_of(MIXTURE), jnp.asarray(POINTS)
    one, many = (
        jax.jit(ClassLogProbability.__call__)(ClassLogProbability(params, label, model), x, t)
        for label, t in ((jnp.asarray(1), 0.3), (jnp.ones(4, int), jnp.full(4, 0.3)))
    )
    np.testing.assert_allclose(one, many, rtol=1e-5)
    expected = log_posterior(MIXTURE.noised(*(float(f(0.3)) for f in (VP().alpha, VP().sigma))), x)
    np.testing.assert_allclose(one, expected[:, 1], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("wrong", [-3, -1, 2, 1000])
def test_a_class_that_there_is_not_is_nan_with_its_gradient_and_alone(wrong):
    x, t = jnp.asarray(POINTS), jnp.asarray(0.3)

    @jax.jit
    def value_and_gradient(label):
        of_label = ClassLogProbability(params_of(MIXTURE), label, posterior_model(VP()))
        return of_label(x, t), jax.grad(lambda x: of_label(x, t).sum())(x)

    value, gradient = value_and_gradient(jnp.asarray([0, wrong, 1, 0]))
    right, of_right = value_and_gradient(jnp.asarray([0, 1, 1, 0]))
    others = np.array([0, 2, 3])
    assert np.isnan(value[1])
    assert np.isnan(gradient[1]).all()
    np.testing.assert_array_equal(value[others], right[others])
    np.testing.assert_array_equal(gradient[others], of_right[others])


class Told(nn.Module):
    """Its logits are what it is shown, and the time that it is told."""

    @nn.compact
    def __call__(self, x, time, *, deterministic):
        logits = jnp.concatenate([x, time[:, None]], axis=1)
        return Outputs(logits - jax.nn.logsumexp(logits, axis=1, keepdims=True))


SCALED, LOGARITHM = ScaledTime(scale=2.0), LogNoiseLevel(scale=0.1)


@pytest.mark.parametrize(
    ("name", "condition"), [*((name, LOGARITHM) for name in SDES), ("vp", SCALED)]
)
def test_what_the_network_is_shown_and_told(name, condition):
    """x of unit size for data of deviation d, and the time in the network's units."""
    deviation, x = 0.45, network_points(name)
    model = ClassifierModel(
        network=Told(), sde=SDES[name], time_condition=condition, data_deviation=deviation
    )
    found = np.asarray(jax.jit(model.log_probabilities)({}, x, TIMES), np.float64)
    alpha, sigma = np.array(coefficients(name)).T
    shown = x / np.sqrt(alpha**2 * deviation**2 + sigma**2)[:, None]
    told = 2 * TIMES if condition is SCALED else 0.1 * np.log(sigma / alpha)
    np.testing.assert_allclose(found[:, 0] - found[:, 1], shown[:, 0] - shown[:, 1], atol=1e-4)
    np.testing.assert_allclose(found[:, 2] - found[:, 1], told - shown[:, 1], atol=1e-4)


class Dropping(nn.Module):
    """Its logits are what it is shown, but for those that it drops."""

    @nn.compact
    def __call__(self, x, time, *, deterministic):
        return Outputs(nn.Dropout(0.5)(x, deterministic=deterministic))


def test_dropout_is_on_with_a_key(key):
    model = ClassifierModel(network=Dropping(), sde=VP())
    x, first, second = jnp.arange(1.0, 31.0).reshape(1, 30), *jax.random.split(key)
    off, on, other = (
        np.asarray(model.log_probabilities({}, x, jnp.asarray(0.3), dropout_key=dropout_key))
        for dropout_key in (None, first, second)
    )
    np.testing.assert_allclose(off, jax.nn.log_softmax(x), rtol=1e-6)
    assert (np.diff(off) > 0).all()
    assert (np.diff(on) < 0).any()
    assert (on != other).any()


def test_new_labels_and_parameters_compile_nothing():
    traced, params = [], params_of(MIXTURE)

    @jax.jit
    def evaluate(of_label, x):
        traced.append(1)
        return of_label(x, jnp.asarray(0.3))

    for label, scale in ((0, 1.0), (1, 2.0)):
        scaled = jax.tree.map(lambda leaf, scale=scale: scale * leaf, params)
        evaluate(ClassLogProbability(scaled, jnp.asarray(label), posterior_model(VP())), POINTS)
    assert len(traced) == 1


@pytest.mark.parametrize("deviation", [0.0, -1.0])
def test_the_deviation_must_be_positive(deviation):
    with pytest.raises(ValueError, match="`data_deviation` must be positive: got data_deviation="):
        ClassifierModel(network=Told(), sde=VP(), data_deviation=deviation)
