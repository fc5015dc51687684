"""Latent diffusion where it is plain diffusion, and where the latents' score is exact."""

import functools
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from linear_vae import KNOWN, Truth, check_moments, linear_vae, z_scores

from sde_jax.arrays import expand_like, strided_parts
from sde_jax.baselines.latent import LatentDiffusion
from sde_jax.baselines.vae import WeightedLatents
from sde_jax.likelihood import (
    ExactTrace,
    Hutchinson,
    Likelihood,
    MultistepLikelihood,
    even_times,
)
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.randomness import example_seeds
from sde_jax.sampling import ExponentialAdams, LogSNRGrid
from sde_jax.score import NetworkScore, ScaledTime, ScoreModel
from sde_jax.sde import VP

SDE = VP()
PRIOR_MEAN, PRIOR_SCALE = 0.7, 0.4


@dataclass(frozen=True)
class IdentityAutoencoder:
    """Latents that are the examples."""

    def init(self, key, shape):
        return {}

    def losses(self, params, seeds, x, *, deterministic):
        return jnp.zeros(len(x))

    def encode(self, params, keys, x):
        return x

    def encode_weighted(self, params, keys, x):
        return WeightedLatents(x, jnp.zeros(len(x)))

    def decode(self, params, latents):
        return latents


class ExactNoise(nn.Module):
    """The noise expected in noisy latents of N(PRIOR_MEAN, PRIOR_SCALE^2), told t itself."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        alpha, sigma = expand_like(SDE.alpha(time), x), expand_like(SDE.sigma(time), x)
        variance = (alpha * PRIOR_SCALE) ** 2 + sigma**2
        return sigma * (x - alpha * PRIOR_MEAN) / variance


class Untrained(nn.Module):
    """Some function of x and the time."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        return jnp.tanh(nn.Dense(x.shape[1])(jnp.concatenate([x, time[:, None]], axis=1)))


UNTRAINED = DenoisingScoreMatching(
    model=ScoreModel(network=Untrained(), sde=SDE, time_condition=ScaledTime(scale=1.0))
)
EXACT = LatentDiffusion(
    autoencoder=linear_vae(),
    objective=DenoisingScoreMatching(
        model=ScoreModel(network=ExactNoise(), sde=SDE, time_condition=ScaledTime(scale=1.0))
    ),
)


def pulled_back(t_min):
    """The model of what the flow makes of the prior, N(0, 1) instead of the noised latents.

    The flow of a Gaussian scales offsets from the mean by the ratio of deviations.
    """
    alpha, sigma = (np.asarray(f(jnp.asarray([t_min, 1.0]))) for f in (SDE.alpha, SDE.sigma))
    deviation = np.hypot(alpha * PRIOR_SCALE, sigma)
    scale = deviation[0] / deviation[1]
    return functools.partial(Truth, PRIOR_MEAN * (alpha[0] - scale * alpha[1]), scale)


def exact_params(truth):
    return {"autoencoder": truth.params(), "score": {}}


def test_of_the_examples_themselves_the_losses_are_plain_denoising(key):
    model = LatentDiffusion(autoencoder=IdentityAutoencoder(), objective=UNTRAINED)

    @jax.jit
    def run(key):
        params, seeds = model.init(key, (3,)), example_seeds(key, len(KNOWN))
        plain = UNTRAINED.losses(params["score"], seeds.split(3)[2], KNOWN)
        return model.losses(params, seeds, KNOWN), plain

    losses, plain = run(key)
    np.testing.assert_array_equal(losses, plain)
    assert losses.min() > 0.01


def test_of_the_examples_themselves_samples_are_the_samplers(key):
    sampler = ExponentialAdams(grid=LogSNRGrid(steps=4), eta=1.0)
    model = LatentDiffusion(autoencoder=IdentityAutoencoder(), objective=UNTRAINED)

    @jax.jit
    def run(key):
        params, keys = model.init(key, (3,)), jax.random.split(key, 5)
        plain = sampler(keys, NetworkScore(params["score"], UNTRAINED.model), SDE, (3,))
        return model.sample(params, keys, (3,), sampler), plain

    samples, plain = run(key)
    jax.tree.map(np.testing.assert_array_equal, samples, plain)
    assert np.unique(samples.x).size == 15


def test_of_the_examples_themselves_likelihoods_are_the_flows(key):
    model = LatentDiffusion(autoencoder=IdentityAutoencoder(), objective=UNTRAINED)
    likelihood = MultistepLikelihood(
        times=even_times(SDE, 1e-3, 4), divergence=Hutchinson(probes=2)
    )

    @jax.jit
    def run(key):
        params, keys = model.init(key, (3,)), jax.random.split(key, len(KNOWN))
        key_probe = jax.vmap(jax.random.split, out_axes=1)(keys)[1]
        score = NetworkScore(params["score"], UNTRAINED.model)
        plain = likelihood(key_probe, score, SDE, KNOWN)
        return model.log_likelihoods(params, keys, KNOWN, likelihood), plain

    actual, plain = run(key)
    jax.tree.map(np.testing.assert_array_equal, actual, plain)
    assert plain.converged.all()


def test_no_gradient_of_the_score_reaches_the_autoencoder(key):
    """Each half has the gradient that it has alone."""
    model = LatentDiffusion(autoencoder=linear_vae(), objective=UNTRAINED)

    def slopes(losses, params):
        return jax.grad(lambda params: losses(params).mean())(params)

    @jax.jit
    def run(key):
        params, seeds = model.init(key, (3,)), example_seeds(key, len(KNOWN))
        of_autoencoder, of_latents, of_score = seeds.split(3)
        own = params["autoencoder"]
        latents = linear_vae().encode(own, of_latents.keys, KNOWN)
        alone = {
            "autoencoder": slopes(lambda p: linear_vae().losses(p, of_autoencoder, KNOWN), own),
            "score": slopes(lambda p: UNTRAINED.losses(p, of_score, latents), params["score"]),
        }
        return slopes(lambda p: model.losses(p, seeds, KNOWN), params), alone

    actual, alone = run(key)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, actual, alone)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(actual["score"])) > 1e-3


def test_parts_have_the_losses_of_the_whole(key):
    model = LatentDiffusion(autoencoder=linear_vae(), objective=UNTRAINED)

    @jax.jit
    def losses(key):
        params, given = model.init(key, (3,)), (example_seeds(key, len(KNOWN)), KNOWN)
        return model.losses(params, *given), model.losses(params, *strided_parts(given, 3)[1])

    whole, part = losses(key)
    np.testing.assert_allclose(part, whole[1::3], rtol=1e-5)


def test_samples_of_the_exact_score_have_the_moments_of_the_model(key):
    """4000 decoded latents of N(.7, .4^2), without the decoder's noise."""
    truth = Truth(PRIOR_MEAN, PRIOR_SCALE)
    sampler = ExponentialAdams(grid=LogSNRGrid(steps=60))

    def draw(keys):
        return EXACT.sample(exact_params(truth), keys, (3,), sampler)

    samples = jax.jit(draw)(jax.random.split(key, 4000))
    assert samples.converged.all()
    noise = 0.4**2 * np.eye(3)
    check_moments(samples.x, truth.mean, truth.covariance - noise)


LIKELIHOOD = Likelihood(divergence=ExactTrace(), t_min=1e-4)
EXACT_MODEL = pulled_back(LIKELIHOOD.t_min)


def test_the_bound_is_the_evidence_where_score_and_encoder_are_exact(key):
    """Every draw gives the evidence, up to the solver's error."""
    truth, x = EXACT_MODEL(), np.tile(KNOWN, (3, 1))
    evaluate = jax.jit(EXACT.log_likelihoods, static_argnums=3)
    result = evaluate(exact_params(truth), jax.random.split(key, len(x)), x, LIKELIHOOD)
    assert result.converged.all()
    np.testing.assert_allclose(result.nats, truth.log_evidence(x), atol=2e-3)


@pytest.mark.slow("test_the_bound_is_the_evidence_where_score_and_encoder_are_exact")
def test_another_encoder_bounds_less_by_its_divergence_from_the_posterior(key):
    """1000 draws at each point; the solver's error is .002."""
    truth = EXACT_MODEL(wrong=True)
    x = np.tile(KNOWN, (1000, 1))
    evaluate = jax.jit(EXACT.log_likelihoods, static_argnums=3)
    result = evaluate(exact_params(truth), jax.random.split(key, len(x)), x, LIKELIHOOD)
    nats = result.nats.reshape(1000, len(KNOWN))
    z = z_scores(nats, truth.log_evidence(KNOWN) - truth.gap(KNOWN))
    assert np.abs(z).max() < 5, z
    assert truth.gap(KNOWN).min() > 0.05
