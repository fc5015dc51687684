"""Gaussian mixtures: density, score and denoiser against scipy, autodiff and quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import (
    SDES,
    each_name_slowly,
    each_sde_slowly,
    gaussian,
    line_mixture,
    oracle_of,
    plane_mixture,
)

from sde_jax.score import GaussianMixture, MixtureScore, denoised

TIMES = [0.01, 0.3, 0.9]


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def plane_points():
    return np.random.default_rng(1).normal(size=(7, 2)) * 1.5


def space_mixture():
    """Two Gaussians with full covariances in three dimensions, as arrays and as a mixture: in two,
    axes are symmetric matrices and a transposition would go unseen."""
    factors = np.random.default_rng(2).normal(size=(2, 3, 3)) * 0.5
    covariances = factors @ factors.transpose(0, 2, 1) + 0.01 * np.eye(3)
    means = np.array([[-0.6, 0.3, 0.1], [0.8, -0.2, 0.5]])
    arrays = np.array([0.35, 0.65]), means, covariances
    return oracles.Mixture(*arrays), GaussianMixture.from_covariances(*map(jnp.asarray, arrays))


@each_name_slowly
def test_density_and_score_of_full_covariances_agree_with_scipy(name):
    sde, process, (data, mixture) = SDES[name], oracles.PROCESSES[name], space_mixture()
    density = jax.jit(mixture.log_density, static_argnums=0)
    score = jax.jit(lambda x, t: MixtureScore(mixture, sde)(x, t))
    for t in TIMES:
        noised = data.noised(process.alpha(t), process.sigma(t))
        x = np.random.default_rng(1).normal(size=(7, 3)) * 1.5 * noised.moments()[1]
        np.testing.assert_allclose(density(sde, x, t), noised.log_density(x), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(score(x, t), noised.score(x), rtol=1e-5, atol=1e-8)


@each_sde_slowly
@pytest.mark.parametrize("mixture", [plane_mixture, lambda: gaussian(2)])
def test_score_is_the_gradient_of_the_density(sde, mixture):
    def density(x):
        return mixture().log_density(sde, x[None], jnp.asarray(0.4))[0]

    x = jnp.asarray(plane_points())
    score = jax.jit(mixture().score, static_argnums=0)(sde, x, jnp.asarray(0.4))
    gradient = jax.jit(jax.vmap(jax.grad(density)))(x)
    np.testing.assert_allclose(score, gradient, rtol=1e-9, atol=1e-12)


@each_sde_slowly
def test_every_example_may_have_its_own_time(sde):
    x, times = jnp.asarray(plane_points())[:3], jnp.asarray(TIMES)
    mixture = plane_mixture()
    for method in (mixture.log_density, mixture.score, mixture.denoised):
        function = jax.jit(method, static_argnums=0)
        together = function(sde, x, times)
        alone = jax.jit(
            lambda x, t, f=method: jax.lax.map(lambda one: f(sde, one[0][None], one[1])[0], (x, t))
        )
        np.testing.assert_allclose(together, alone(x, times), rtol=1e-12)


@each_sde_slowly
def test_denoised_is_tweedies_formula(sde):
    mixture, x, t = plane_mixture(), jnp.asarray(plane_points())[:3], jnp.asarray(TIMES)
    by_tweedie = jax.jit(denoised, static_argnums=1)(MixtureScore(mixture, sde), sde, x, t)
    found = jax.jit(mixture.denoised, static_argnums=0)(sde, x, t)
    np.testing.assert_allclose(found, by_tweedie, rtol=1e-7, atol=1e-9)


@each_name_slowly
def test_denoised_is_the_posterior_mean(name):
    data, process, mixture = oracle_of(line_mixture()), oracles.PROCESSES[name], line_mixture()
    t = 0.3
    alpha, sigma = process.alpha(t), process.sigma(t)
    x = np.array([-1.2, 0.1, 0.8]) * (alpha + sigma)
    expected = [oracles.posterior_mean(data, alpha, sigma, value) for value in x]
    result = jax.jit(mixture.denoised, static_argnums=0)(SDES[name], x[:, None], t)
    np.testing.assert_allclose(result[:, 0], expected, rtol=1e-5)


def test_rescheduling_keeps_the_denoiser():
    """Points of VP and VE at equal noise_to_signal, ``x / alpha`` alike, have one posterior."""
    mixture, vp, ve = plane_mixture(), SDES["vp"], SDES["ve"]
    t = jnp.asarray(TIMES)
    x = jnp.asarray(plane_points())[:3]

    @jax.jit
    def both(x, t):
        other = ve.time_of(vp.noise_to_signal(t))
        rescheduled = mixture.denoised(ve, x / vp.alpha(t)[:, None], other)
        return rescheduled, mixture.denoised(vp, x, t)

    np.testing.assert_allclose(*both(x, t), rtol=1e-9)


def test_examples_of_any_shape_are_flattened():
    mixture, sde, t = gaussian(6), SDES["vp"], jnp.asarray(0.5)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2, 3)))
    flat = x.reshape(4, 6)
    for method in (mixture.score, mixture.denoised):
        function = jax.jit(method, static_argnums=0)
        np.testing.assert_array_equal(function(sde, x, t), function(sde, flat, t).reshape(4, 2, 3))
    density = jax.jit(mixture.log_density, static_argnums=0)
    np.testing.assert_array_equal(density(sde, x, t), density(sde, flat, t))


def test_a_point_mass_is_legal_away_from_zero():
    point = GaussianMixture(jnp.ones(1), jnp.asarray([[2.0]]), jnp.zeros((1, 1)))
    sde, t = SDES["vp"], jnp.asarray(0.3)
    score = point.score(sde, jnp.asarray([[1.0]]), t)
    expected = (2.0 * sde.alpha(t) - 1.0) / sde.sigma(t) ** 2
    np.testing.assert_allclose(score, [[expected]], rtol=1e-12)
    np.testing.assert_allclose(point.denoised(sde, jnp.asarray([[1.0]]), t), [[2.0]])


@pytest.mark.parametrize("which", ["line", "space"])
def test_samples_have_the_mixtures_moments(which, key):
    """5 standard errors of 20,000 samples."""
    count = 20_000
    line = oracle_of(line_mixture()), line_mixture()
    oracle, mixture = line if which == "line" else space_mixture()
    x = np.asarray(mixture.sample(key, count))
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
