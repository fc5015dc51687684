"""Samples with their log densities from one solve: closed forms, the sampler, the likelihood."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DEVIATION, MEAN, SDES, gaussian, keys, plane_mixture, slow_but

from sde_jax.likelihood import (
    ExactTrace,
    Hutchinson,
    Likelihood,
    MultistepLikelihood,
    even_times,
)
from sde_jax.ode import AdaptiveSolver
from sde_jax.sampling import ExponentialAdams, LogSNRGrid, ProbabilityFlow, draw_prior
from sde_jax.score import MixtureScore

T_MIN = 1e-3


def adaptive(sde, divergence, tolerance=1e-5):
    """A likelihood by adaptive solves, and the sampler whose samples it draws."""
    solver = AdaptiveSolver(rtol=tolerance, atol=tolerance)
    sampler = ProbabilityFlow(solver=solver, t_min=T_MIN, denoise=False)
    return Likelihood(solver=solver, t_min=T_MIN, divergence=divergence), sampler


def multistep(sde, divergence, steps=100):
    """One in fixed steps, and its sampler."""
    grid = LogSNRGrid(steps=steps, last=float(sde.noise_to_signal(jnp.asarray(T_MIN))))
    sampler = ExponentialAdams(order=2, grid=grid, end="state", orders="full")
    return MultistepLikelihood(times=even_times(sde, T_MIN, steps), divergence=divergence), sampler


both = pytest.mark.parametrize(
    "solver", [pytest.param(adaptive, marks=pytest.mark.slow), multistep]
)


def sampled(likelihood, score, sde, all_keys, shape):
    return jax.jit(lambda k: likelihood.sample_and_log_density(k, score, sde, shape))(all_keys)


@pytest.mark.parametrize("solver", [adaptive, multistep])
@pytest.mark.parametrize("name", slow_but("vp"))
def test_samples_and_densities_of_a_gaussian(solver, name, key):
    """The flow scales the distance from the mean by the ratio of deviations."""
    sde, all_keys = SDES[name], keys(key, 5)
    likelihood, _ = solver(sde, ExactTrace())
    x, found = sampled(likelihood, MixtureScore(gaussian(2), sde), sde, all_keys, (2,))
    latent = draw_prior(jax.vmap(jax.random.split)(all_keys)[:, 0], sde, (2,))
    alpha, sigma = (np.asarray(of(jnp.asarray([T_MIN, 1.0])), "d") for of in (sde.alpha, sde.sigma))
    scale, scale_prior = np.hypot(DEVIATION * alpha, sigma)
    expected = MEAN * alpha[0] + (np.asarray(latent, "d") - MEAN * alpha[1]) * scale / scale_prior
    np.testing.assert_allclose(x, expected, atol=1e-3)
    log_prior = jax.scipy.stats.norm.logpdf(latent, scale=sde.prior_scale).sum(axis=1)
    np.testing.assert_allclose(found.nats, log_prior - 2 * np.log(scale / scale_prior), atol=2e-3)
    np.testing.assert_array_equal(found.probe_stderr, np.zeros(5))
    assert found.converged.all()


@both
def test_samples_are_those_of_the_sampler(solver, key):
    """To rounding where it evaluates at the same times, else to the solver's tolerance."""
    with jax.enable_x64(True):
        sde, all_keys = SDES["vp"], keys(key, 4)
        score = MixtureScore(jax.tree.map(jnp.float64, plane_mixture()), sde)
        likelihood, sampler = solver(sde, Hutchinson())
        x, _ = sampled(likelihood, score, sde, all_keys, (2,))
        alone = jax.jit(lambda k: sampler(k, score, sde, (2,)).x)(all_keys)
    atol = 1e-4 if solver is adaptive else 1e-7  # the times of both are computed in 32 bits
    np.testing.assert_allclose(x, alone, atol=atol)
    assert x.dtype == np.float64


@both
@pytest.mark.parametrize("name", slow_but("vp"))
def test_densities_are_those_of_the_samples(solver, name, key):
    """With the same probes, drawn from the second half of each key."""
    sde, all_keys = SDES[name], keys(key, 4)
    score = MixtureScore(plane_mixture(), sde)
    likelihood, _ = solver(sde, Hutchinson(probes=4))
    x, found = sampled(likelihood, score, sde, all_keys, (2,))
    probe_keys = jax.vmap(jax.random.split)(all_keys)[:, 1]
    again = jax.jit(lambda k, x: likelihood(k, score, sde, x))(probe_keys, x)
    np.testing.assert_allclose(found.nats, again.nats, atol=5e-3)
    np.testing.assert_allclose(found.probe_stderr, again.probe_stderr, atol=5e-3)
    assert np.ptp(found.nats) > 0.1 and found.probe_stderr.max() > 0.05


@both
def test_nfe_is_the_number_of_calls(solver, key):
    calls, sde = [], SDES["vp"]

    def score(x, t):
        jax.debug.callback(lambda: calls.append(None))
        return gaussian(2).score(sde, x, t)

    likelihood, _ = solver(sde, Hutchinson())
    _, found = sampled(likelihood, score, sde, keys(key, 1), (2,))
    jax.block_until_ready(found.nats)
    jax.effects_barrier()
    np.testing.assert_array_equal(found.nfe, [len(calls)])


@both
def test_a_sample_that_is_not_finite_is_reported(solver, key):
    sde = SDES["vp"]

    def score(x, t):
        return jnp.where(x > 0, jnp.nan, gaussian(1).score(sde, x, t))

    likelihood, _ = solver(sde, Hutchinson())
    latent = draw_prior(jax.vmap(jax.random.split)(keys(key, 6))[:, 0], sde, (1,))
    x, found = sampled(likelihood, score, sde, keys(key, 6), (1,))
    broken = np.isnan(x[:, 0]) | (np.asarray(latent[:, 0]) > 0)
    assert broken.sum() > 0
    assert not found.converged[broken].any()
