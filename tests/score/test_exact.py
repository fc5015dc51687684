"""Gaussian mixtures: density, score and denoiser against scipy, autodiff and quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import (
    SDES,
    each_name,
    each_sde,
    gaussian,
    line_mixture,
    oracle_of,
    plane_mixture,
    plane_mixture_arrays,
)

from sde_jax.score import GaussianMixture, MixtureScore, denoised

TIMES = [0.01, 0.3, 0.9]


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def plane_points():
    return np.random.default_rng(1).normal(size=(7, 2)) * 1.5


@each_name
@pytest.mark.parametrize("t", TIMES)
def test_density_and_score_of_full_covariances_agree_with_scipy(name, t):
    sde, process = SDES[name], oracles.PROCESSES[name]
    noised = oracles.Mixture(*plane_mixture_arrays()).noised(process.alpha(t), process.sigma(t))
    x = plane_points() * noised.moments()[1]
    density = plane_mixture().log_density(sde, jnp.asarray(x), jnp.asarray(t))
    np.testing.assert_allclose(density, noised.log_density(x), rtol=1e-6, atol=1e-8)
    score = MixtureScore(plane_mixture(), sde)(jnp.asarray(x), jnp.asarray(t))
    np.testing.assert_allclose(score, noised.score(x), rtol=1e-5, atol=1e-8)


@each_sde
@pytest.mark.parametrize("mixture", [plane_mixture, lambda: gaussian(2)])
def test_score_is_the_gradient_of_the_density(sde, mixture):
    def density(x):
        return mixture().log_density(sde, x[None], jnp.asarray(0.4))[0]

    x = jnp.asarray(plane_points())
    score = mixture().score(sde, x, jnp.asarray(0.4))
    np.testing.assert_allclose(score, jax.vmap(jax.grad(density))(x), rtol=1e-9, atol=1e-12)


@each_sde
def test_every_example_may_have_its_own_time(sde):
    x, times = jnp.asarray(plane_points())[:3], jnp.asarray(TIMES)
    mixture = plane_mixture()
    for function in (mixture.log_density, mixture.score, mixture.denoised):
        together = function(sde, x, times)
        for i in range(3):
            np.testing.assert_allclose(
                together[i], function(sde, x[i : i + 1], times[i])[0], rtol=1e-12
            )


@each_sde
@pytest.mark.parametrize("t", TIMES)
def test_denoised_is_tweedies_formula(sde, t):
    mixture, x, t = plane_mixture(), jnp.asarray(plane_points()), jnp.asarray(t)
    by_tweedie = denoised(MixtureScore(mixture, sde), sde, x, t)
    np.testing.assert_allclose(mixture.denoised(sde, x, t), by_tweedie, rtol=1e-7, atol=1e-9)


@each_name
@pytest.mark.parametrize("t", [0.1, 0.6])
def test_denoised_is_the_posterior_mean(name, t):
    data, process, mixture = oracle_of(line_mixture()), oracles.PROCESSES[name], line_mixture()
    alpha, sigma = process.alpha(t), process.sigma(t)
    x = np.array([-1.2, 0.1, 0.8]) * (alpha + sigma)
    expected = [oracles.posterior_mean(data, alpha, sigma, value) for value in x]
    result = mixture.denoised(SDES[name], jnp.asarray(x)[:, None], jnp.asarray(t))
    np.testing.assert_allclose(result[:, 0], expected, rtol=1e-5)


def test_rescheduling_keeps_the_denoiser():
    """Points of VP and VE at equal noise_to_signal, ``x / alpha`` alike, have one posterior."""
    mixture, vp, ve = plane_mixture(), SDES["vp"], SDES["ve"]
    t = jnp.asarray(TIMES)
    x = jnp.asarray(plane_points())[:3]
    other = ve.time_of(vp.noise_to_signal(t))
    np.testing.assert_allclose(
        mixture.denoised(ve, x / vp.alpha(t)[:, None], other),
        mixture.denoised(vp, x, t),
        rtol=1e-9,
    )


def test_examples_of_any_shape_are_flattened():
    mixture, sde, t = gaussian(6), SDES["vp"], jnp.asarray(0.5)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2, 3)))
    flat = x.reshape(4, 6)
    for function in (mixture.score, mixture.denoised):
        np.testing.assert_array_equal(function(sde, x, t), function(sde, flat, t).reshape(4, 2, 3))
    np.testing.assert_array_equal(mixture.log_density(sde, x, t), mixture.log_density(sde, flat, t))


def test_a_point_mass_is_legal_away_from_zero():
    point = GaussianMixture(jnp.ones(1), jnp.asarray([[2.0]]), jnp.zeros((1, 1)))
    sde, t = SDES["vp"], jnp.asarray(0.3)
    score = point.score(sde, jnp.asarray([[1.0]]), t)
    expected = (2.0 * sde.alpha(t) - 1.0) / sde.sigma(t) ** 2
    np.testing.assert_allclose(score, [[expected]], rtol=1e-12)
    np.testing.assert_allclose(point.denoised(sde, jnp.asarray([[1.0]]), t), [[2.0]])


@pytest.mark.parametrize("mixture", [line_mixture, plane_mixture])
def test_samples_have_the_mixtures_moments(mixture, key):
    """5 standard errors of 20,000 samples."""
    count, drawn = 20_000, mixture()
    x = np.asarray(drawn.sample(key, count))
    if mixture is plane_mixture:
        oracle = oracles.Mixture(*plane_mixture_arrays())
    else:
        oracle = oracle_of(drawn)
    mean, deviation = oracle.moments()
    z = (x.mean(0) - mean) / (deviation / np.sqrt(count))
    assert (np.abs(z) < 5).all(), z
    centred = x - mean
    covariance = centred.T @ centred / count
    expected = np.einsum("k,kij->ij", oracle.weights, oracle.covariances)
    offsets = oracle.means - mean
    expected += np.einsum("k,ki,kj->ij", oracle.weights, offsets, offsets)
    errors = np.std(centred[:, :, None] * centred[:, None, :], axis=0) / np.sqrt(count)
    z = (covariance - expected) / errors
    assert (np.abs(z) < 5).all(), z


def test_a_mixture_is_a_pytree_and_traces_once():
    traces = []

    def evaluate(score, x):
        traces.append(None)
        return score(x, jnp.asarray(0.5))

    compiled = jax.jit(evaluate)
    x = jnp.ones((2, 2))
    first = compiled(MixtureScore(gaussian(2), SDES["vp"]), x)
    moved = jax.tree.map(lambda leaf: leaf * 1.5, gaussian(2))
    second = compiled(MixtureScore(moved, SDES["vp"]), x)
    assert len(traces) == 1
    assert not np.allclose(first, second)
