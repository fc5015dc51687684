"""Bounds of discrete probabilities against the exact masses of bins."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from cases import SDES, keys, line_mixture, oracle_of

from sde_jax.likelihood import (
    DiscreteLikelihood,
    ExactTrace,
    Likelihood,
    LogLikelihoods,
    TruncatedDequantization,
    UniformDequantization,
)
from sde_jax.score import GaussianMixture, MixtureScore

VP = SDES["vp"]
HALF, COPIES = 0.0625, 200
T_MIN = float(VP.time_of(jnp.asarray(HALF / 3)))
ALPHA, SIGMA = float(VP.alpha(jnp.asarray(T_MIN))), float(VP.sigma(jnp.asarray(T_MIN)))
LEVELS = np.linspace(-1.5, 2.0, 29)
UNIFORM = UniformDequantization(half_width=HALF)
TRUNCATED = TruncatedDequantization(half_width=HALF, t_min=T_MIN)


def levels_of_mixture():
    """Points at the levels, as probable as they are under `line_mixture`."""
    parts = zip(*(np.asarray(x) for x in columns(line_mixture())), strict=True)
    weights = sum(w * scipy.stats.norm(mean, v**0.5).pdf(LEVELS) for w, mean, v in parts)
    points = jnp.asarray(LEVELS[:, None], jnp.float32)
    return GaussianMixture(jnp.asarray(weights / weights.sum()), points, 0 * points)


def columns(mixture):
    return mixture.weights, mixture.means[:, 0], mixture.variances[:, 0]


DATA = {UNIFORM: line_mixture(), TRUNCATED: levels_of_mixture()}
"""Data that each suits: dequantized and spread, or levels alone."""


def density_of(mixture):
    """The density at t_min in closed form, in place of a solve."""
    deviations = jnp.sqrt(ALPHA**2 * mixture.variances + SIGMA**2)

    def density(keys, score, sde, z):
        of_parts = jax.scipy.stats.norm.logpdf(z, ALPHA * mixture.means.T, deviations.T)
        nats = jax.scipy.special.logsumexp(of_parts, axis=1, b=mixture.weights[None])
        ones = jnp.ones(len(z), int)
        return LogLikelihoods(nats, None, ones, ones > 0)

    return density


def masses(dequantizer):
    """The exact probability of the bin around each level, by distribution functions."""
    scale = ALPHA if dequantizer is TRUNCATED else 1.0
    low, high = (scale * (LEVELS + side * HALF) for side in (-1, 1))
    total = np.zeros(len(LEVELS))
    for weight, mean, variance in zip(*columns(DATA[dequantizer]), strict=True):
        of_part = scipy.stats.norm(ALPHA * mean, np.sqrt(ALPHA**2 * variance + SIGMA**2))
        total += weight * (of_part.cdf(high) - of_part.cdf(low))
    return total


@pytest.mark.parametrize("dequantizer", [UNIFORM, TRUNCATED], ids=["uniform", "truncated"])
def test_draws_tighten_the_bound_to_the_mass_of_the_bin(dequantizer, key):
    """Below the mass for every number of draws, nearer with more, within .001 bits of 50."""
    x = jnp.repeat(jnp.asarray(LEVELS, jnp.float32), COPIES)[:, None]
    exact, density = np.log(masses(dequantizer)), density_of(DATA[dequantizer])
    gaps = []
    for draws in (1, 5, 50):
        bound = DiscreteLikelihood(likelihood=density, dequantizer=dequantizer, draws=draws)
        measured = bound(keys(key, len(x)), None, VP, x)
        nats = np.float64(measured.nats).reshape(len(LEVELS), COPIES)
        stderr = nats.std(axis=1, ddof=1) / math.sqrt(COPIES)
        assert np.all(nats.mean(axis=1) - exact < 5 * stderr + 1e-5)
        gaps.append((exact - nats.mean(axis=1)).mean() / math.log(2))
    assert gaps[0] > 2 * max(gaps[1:])
    assert gaps[2] < 0.001
    spread = np.sqrt((np.float64(measured.draw_stderr).reshape(nats.shape) ** 2).mean(axis=1))
    np.testing.assert_allclose(spread, nats.std(axis=1, ddof=1), rtol=0.25)


@pytest.mark.parametrize(
    "dequantizer",
    [pytest.param(UNIFORM, marks=pytest.mark.slow), TRUNCATED],
    ids=["uniform", "truncated"],
)
def test_the_bound_is_that_of_numpy_at_its_own_draws(dequantizer, key):
    """Densities of the oracle over those of scipy, averaged in logarithms, to 1e-4."""
    x, seen, exact = LEVELS[::9, None], [], density_of(DATA[dequantizer])

    def density(keys, score, sde, z):
        seen.append(np.float64(z))
        return exact(keys, score, sde, z)

    with jax.disable_jit():
        bound = DiscreteLikelihood(likelihood=density, dequantizer=dequantizer, draws=3)
        nats = bound(keys(key, len(x)), None, VP, jnp.asarray(x, jnp.float32)).nats
    laws = {
        UNIFORM: scipy.stats.uniform(x - HALF, 2 * HALF),
        TRUNCATED: scipy.stats.truncnorm(
            -ALPHA * HALF / SIGMA, ALPHA * HALF / SIGMA, ALPHA * x, SIGMA
        ),
    }
    model = oracle_of(DATA[dequantizer]).noised(ALPHA, SIGMA)
    ratios = [model.log_density(z) - laws[dequantizer].logpdf(z)[:, 0] for z in seen]
    expected = scipy.special.logsumexp(ratios, axis=0) - math.log(3)
    np.testing.assert_allclose(nats, expected, atol=1e-4)


def test_the_noise_of_the_process_is_cut_where_the_next_bin_begins(key):
    """Its density is scipy's, and bins neither overlap nor leave a gap."""
    x = jnp.asarray([[0.25, -0.5, 1.0]])
    for each in keys(key, 20):
        z, log_density = TRUNCATED(each, VP, x)
        bound = ALPHA * HALF / SIGMA
        law = scipy.stats.truncnorm(-bound, bound, loc=ALPHA * np.asarray(x), scale=SIGMA)
        assert np.all(np.abs(z - ALPHA * x) <= ALPHA * HALF * (1 + 1e-6))
        assert log_density == pytest.approx(law.logpdf(np.asarray(z)).sum(), abs=1e-4)


def test_all_draws_share_their_probes(key):
    """An error of the probes shifts the bound by itself and leaves the weights as they are."""

    def with_error(keys, score, sde, z):
        exact = density(keys, score, sde, z)
        return exact._replace(nats=exact.nats + 9 * jax.vmap(jax.random.normal)(keys))

    x, density = jnp.zeros((3, 1)), density_of(line_mixture())
    with_and_without = [
        DiscreteLikelihood(likelihood=one, dequantizer=TRUNCATED, draws=4)(
            keys(key, 3), None, VP, x
        ).nats
        for one in (with_error, density)
    ]
    probes = jax.vmap(jax.random.split, out_axes=1)(keys(key, 3))[1]
    errors = 9 * jax.vmap(jax.random.normal)(probes)
    np.testing.assert_allclose(with_and_without[0] - with_and_without[1], errors, atol=1e-5)


def test_a_solve_gives_the_masses_too(key):
    """But for the mean of the data that is left at t = 1, where the prior has none: .01 nats."""
    likelihood = Likelihood(t_min=T_MIN, divergence=ExactTrace())
    bound = DiscreteLikelihood(likelihood=likelihood, dequantizer=TRUNCATED, draws=50)
    x = jnp.asarray(LEVELS[2::5], jnp.float32)[:, None]
    score = MixtureScore(DATA[TRUNCATED], VP)
    measured = jax.jit(lambda keys, x: bound(keys, score, VP, x))(keys(key, len(x)), x)
    exact = np.log(masses(TRUNCATED))[2::5]
    assert np.all(np.abs(measured.nats - exact) < 5 * measured.draw_stderr + 0.015)
    np.testing.assert_array_equal(measured.probe_stderr, 0)
    assert np.all(measured.nfe > 50 * 10) and np.all(measured.converged)
