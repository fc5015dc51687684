"""Exact maps of the probability flow against a float64 solve of the ODE by scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import SDES, each_name_slowly, each_sde_slowly, line_mixture, oracle_of, plane_mixture

from sde_jax.score import GaussianMixture, gaussian_flow, quantile_flow

quantiles = jax.jit(quantile_flow, static_argnums=1)
COVARIANCE = np.array([[[0.20, 0.12], [0.12, 0.10]]])


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def solve(name, data, x, t, s):
    """The oracle's solve, with the coefficients that test_coefficients has verified."""
    sde = SDES[name]
    alpha, sigma = jax.jit(sde.alpha), jax.jit(sde.sigma)
    return oracles.probability_flow(
        oracles.PROCESSES[name], data, lambda u: (float(alpha(u)), float(sigma(u))), x, t, s
    )


@each_name_slowly
@pytest.mark.parametrize(("t", "s"), [(0.9, 0.05), (0.1, 0.8)])
def test_gaussian_flow(name, t, s):
    mean = np.array([[0.7, -0.3]])
    mixture = GaussianMixture.from_covariances(
        jnp.ones(1), jnp.asarray(mean), jnp.asarray(COVARIANCE)
    )
    x = np.array([[0.5, -1.0], [2.0, 0.3]])
    carried = jax.jit(gaussian_flow, static_argnums=1)(mixture, SDES[name], x, t, s)
    expected = solve(name, oracles.Mixture(np.ones(1), mean, COVARIANCE), x, t, s)
    np.testing.assert_allclose(carried, expected, rtol=1e-7)


@each_name_slowly
def test_quantile_flow(name):
    sde, t, s = SDES[name], 0.9, 0.05
    scale = float(sde.alpha(jnp.asarray(t)) + sde.sigma(jnp.asarray(t)))
    x = np.linspace(-1.5, 2.0, 9) * scale
    carried = quantiles(line_mixture(), sde, x, t, s)
    expected = solve(name, oracle_of(line_mixture()), x[:, None], t, s)[:, 0]
    np.testing.assert_allclose(carried, expected, rtol=1e-7, atol=1e-8)


@each_sde_slowly
def test_quantile_flow_of_one_component_is_the_gaussian_flow(sde):
    one = GaussianMixture(jnp.ones(1), jnp.asarray([[0.7]]), jnp.asarray([[0.16]]))
    # Out to 12 deviations, where a quantile itself would round to 0 or 1.
    x, t, s = 12 * jnp.linspace(-1.0, 1.0, 9), jnp.asarray(0.7), jnp.asarray(0.1)
    expected = jax.jit(gaussian_flow, static_argnums=1)(one, sde, x[:, None], t, s)[:, 0]
    np.testing.assert_allclose(quantiles(one, sde, x, t, s), expected, rtol=1e-9)


@each_sde_slowly
def test_flows_there_and_back_end_where_they_began(sde):
    mixture, x, t, s = line_mixture(), np.linspace(-2.0, 2.0, 9), 0.05, 1.0
    there = quantiles(mixture, sde, x, t, s)
    np.testing.assert_allclose(quantiles(mixture, sde, there, s, t), x, rtol=1e-6, atol=1e-9)


def test_wrong_mixtures_are_refused():
    t, s = jnp.asarray(1.0), jnp.asarray(0.1)
    with pytest.raises(ValueError, match=r"`gaussian` must have one component: got 2\. In one"):
        gaussian_flow(plane_mixture(), SDES["vp"], jnp.ones((1, 2)), t, s)
    with pytest.raises(ValueError, match=r"`mixture` must have one dimension: got 2\. Solve"):
        quantile_flow(plane_mixture(), SDES["vp"], jnp.ones(1), t, s)
