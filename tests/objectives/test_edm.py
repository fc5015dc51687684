"""The training of Karras et al. 2022, and min-SNR weights, against their own formulas in numpy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DEVIATION, MEAN, each_sde_slowly
from scipy.integrate import quad
from scipy.stats import norm

from sde_jax.arrays import expand_like
from sde_jax.objectives import (
    DenoisingScoreMatching,
    EDMWeighting,
    LogNormalNoise,
    MinSNRWeighting,
)
from sde_jax.randomness import example_seeds
from sde_jax.score import EDMPrediction, LogNoiseLevel, ScoreModel

DATA_DEVIATION = 0.5
EDM = {
    "parameterization": EDMPrediction(data_deviation=DATA_DEVIATION),
    "time_condition": LogNoiseLevel(scale=0.25),
    "data_deviation": DATA_DEVIATION,
}


class Wave(nn.Module):
    """A function of its input and time, the F of the tests."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        return wave(jnp, x, expand_like(time, x))


def wave(module, x, time):
    return module.sin(3 * x + time) + 0.2 * x * time


def edm_losses(x0, noise, sigma):
    """Their table 1 and eq. 8, line by line, in float64: lambda |D(x0 + sigma noise) - x0|^2."""
    d = DATA_DEVIATION
    sigma = sigma[:, None]
    c_skip = d**2 / (sigma**2 + d**2)
    c_out = sigma * d / np.sqrt(sigma**2 + d**2)
    c_in = 1 / np.sqrt(sigma**2 + d**2)
    c_noise = np.log(sigma) / 4
    y = x0 + sigma * noise
    denoised = c_skip * y + c_out * wave(np, c_in * y, c_noise)
    weight = (sigma**2 + d**2) / (sigma * d) ** 2
    return (weight * (denoised - x0) ** 2).mean(axis=1)


@each_sde_slowly
def test_losses_are_those_of_karras(sde):
    """Over four decades of sigma, whatever the process that carries them."""
    rng = np.random.default_rng(0)
    x0, noise = rng.normal(size=(2, 9, 5))
    sigma = np.geomspace(2e-3, 60.0, 9)
    objective = DenoisingScoreMatching(
        model=ScoreModel(network=Wave(), sde=sde, **EDM),
        weighting=EDMWeighting(data_deviation=DATA_DEVIATION),
    )
    losses_at = jax.jit(objective.losses_at)
    with jax.enable_x64(True):
        t = jax.jit(sde.time_of)(sigma)
        losses = losses_at({}, x0, t, noise)
    np.testing.assert_allclose(losses, edm_losses(x0, noise, sigma), rtol=1e-7)
    single = losses_at({}, *(np.asarray(a, np.float32) for a in (x0, t, noise)))
    np.testing.assert_allclose(single, losses, rtol=2e-3)


class ExactF(nn.Module):
    """The F of the exact denoiser of N(MEAN, DEVIATION^2), times ``gain``, told log(sigma) / 4."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        gain = self.param("gain", nn.initializers.constant(1.0), ())
        d, r = DATA_DEVIATION, expand_like(jnp.exp(4 * time), x)
        y = x * jnp.sqrt(r**2 + d**2)
        denoised = (DEVIATION**2 * y + r**2 * MEAN) / (DEVIATION**2 + r**2)
        c_skip, c_out = d**2 / (r**2 + d**2), r * d / jnp.sqrt(r**2 + d**2)
        return gain * (denoised - c_skip * y) / c_out


def least_loss():
    """The mean of lambda times the posterior variance, over the log-normal noise levels."""

    def integrand(z):
        square = np.exp(2 * (-1.2 + 1.2 * z))
        weight = (square + DATA_DEVIATION**2) / (square * DATA_DEVIATION**2)
        posterior = square * DEVIATION**2 / (square + DEVIATION**2)
        return norm.pdf(z) * weight * posterior

    return quad(integrand, -10, 10, epsabs=1e-10)[0]


@each_sde_slowly
def test_the_exact_score_is_the_minimum_and_its_loss_is_known(sde, key):
    """Gradient 0 and value as derived, within 5 standard errors over 64 batches."""
    objective = DenoisingScoreMatching(
        model=ScoreModel(network=ExactF(), sde=sde, **EDM),
        times=LogNormalNoise(),
        weighting=EDMWeighting(data_deviation=DATA_DEVIATION),
    )

    @jax.jit
    @jax.vmap
    def one(key):
        key_data, key_loss = jax.random.split(key)
        x0 = MEAN + DEVIATION * jax.random.normal(key_data, (256, 2))
        seeds = example_seeds(key_loss, 256)
        return jax.value_and_grad(lambda gain: objective.losses({"gain": gain}, seeds, x0).mean())(
            1.0
        )

    values, gradients = one(jax.random.split(key, 64))
    for estimates, expected in [(values, least_loss()), (gradients, 0.0)]:
        estimates = np.asarray(estimates, np.float64)
        z = (estimates.mean() - expected) / (estimates.std() / np.sqrt(64))
        assert abs(z) < 5, (z, estimates.mean(), expected)


@each_sde_slowly
@pytest.mark.parametrize("gamma", [5.0, 1.0])
def test_min_snr_weighs_the_error_of_the_data(sde, gamma):
    """``w |noise error|^2 = min(SNR, gamma) |data error|^2``, both errors of one x."""
    with jax.enable_x64(True):
        t = np.linspace(0.01, 0.99, 25)
        weighting = MinSNRWeighting(gamma=gamma)
        found = jax.jit(lambda t: (sde.alpha(t), sde.sigma(t), weighting(sde, t)))(t)
        alpha, sigma, weight = map(np.asarray, found)
        noise_error = 0.3
        data_error = sigma * noise_error / alpha
        expected = np.minimum((alpha / sigma) ** 2, gamma) * data_error**2
        np.testing.assert_allclose(weight * noise_error**2, expected, rtol=1e-7)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"^`gamma` must be positive: got gamma=0\.0\.$"):
        MinSNRWeighting(gamma=0.0)
    with pytest.raises(
        ValueError, match=r"^`data_deviation` must be positive: got data_deviation="
    ):
        EDMWeighting(data_deviation=-1.0)
