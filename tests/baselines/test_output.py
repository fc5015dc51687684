"""Decoders' distributions: their mass is one, and a cross entropy is a mean of log masses."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from linear_vae import LinearEncoder, float32, z_scores

from sde_jax.baselines.output import BernoulliOutput, GaussianOutput
from sde_jax.baselines.vae import VAE
from sde_jax.data import ImageScaling

BINARY = BernoulliOutput(scaling=ImageScaling(levels=2))
PATTERNS = np.array(list(itertools.product([0, 1], repeat=3)))
SLOPES, BIASES = np.array([1.5, -2.0, 0.7]), np.array([0.3, -0.4, 1.1])


class Bent(nn.Module):
    """Three logits, bent along one latent."""

    @nn.compact
    def __call__(self, z):
        return nn.Dense(3)(jnp.tanh(z))


MODEL = VAE(encoder=LinearEncoder(1), decoder=Bent(), output=BINARY)
PARAMS = float32(
    {
        "encoder": {
            "Dense_0": {"kernel": np.array([[0.4], [-0.5], [0.2]]), "bias": np.array([0.1])},
            "log_scale": np.array([-0.1]),
        },
        "decoder": {"Dense_0": {"kernel": SLOPES[None], "bias": BIASES}},
        "output": {},
    }
)


def dequantized(seed):
    places = np.random.default_rng(seed).uniform(size=PATTERNS.shape)
    return BINARY.scaling.dequantize(jnp.asarray(PATTERNS), jnp.asarray(places, jnp.float32))


def log_masses():
    """Returns the log mass of each pattern of three pixels, by quadrature over the latent."""
    z = np.linspace(-9, 9, 4001)
    white = 1 / (1 + np.exp(-(np.tanh(z)[:, None] * SLOPES + BIASES)))
    masses = [np.prod(np.where(pattern, white, 1 - white), axis=1) for pattern in PATTERNS]
    return np.log(np.trapezoid(np.stack(masses) * scipy.stats.norm.pdf(z), z, axis=1))


def test_all_patterns_together_have_mass_one_and_each_its_own():
    z = np.linspace(-9, 9, 1001, dtype=np.float32)
    output = MODEL.decoder.apply({"params": PARAMS["decoder"]}, z[:, None])

    @jax.jit
    @jax.vmap
    def log_density(x):
        return BINARY.log_density({}, output, jnp.broadcast_to(x[None], output.shape))

    density = np.exp(np.asarray(log_density(dequantized(0)), np.float64))
    masses = np.trapezoid(density * scipy.stats.norm.pdf(z), z, axis=1)
    assert masses.sum() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(masses, np.exp(log_masses()), rtol=1e-5)


@pytest.mark.parametrize("importance_samples", [1, 16])
def test_the_bound_is_below_the_mass_and_weighs_without_bias(importance_samples, key):
    """4000 estimates at each of the eight patterns."""
    model = VAE(
        encoder=MODEL.encoder,
        decoder=MODEL.decoder,
        output=BINARY,
        importance_samples=importance_samples,
    )

    @jax.jit
    @jax.vmap
    def estimate(key):
        return model.log_likelihoods(PARAMS, jax.random.split(key, 8), dequantized(1)).nats

    nats, expected = estimate(jax.random.split(key, 4000)), log_masses()
    z = z_scores(np.exp(nats - expected[None]), 1.0)
    assert np.abs(z).max() < 5, z
    z = z_scores((nats - expected[None]).mean(axis=1), 0.0)
    assert z < -5, z
    assert (expected - np.mean(nats, axis=0)).max() < (0.6 if importance_samples == 1 else 0.04)


def test_the_density_of_a_pixel_integrates_to_one_in_model_coordinates():
    x = (np.arange(400, dtype=np.float32)[:, None] + 0.5) / 200 - 1
    density = jnp.exp(BINARY.log_density({}, jnp.full((400, 1), 0.8), jnp.asarray(x)))
    assert float(density.mean() * 2) == pytest.approx(1.0, rel=1e-5)


def test_the_cross_entropy_of_grey_images_is_that_of_their_random_binarizations():
    """The mean log mass over all eight images of two levels."""
    grey, logits = np.array([0, 1, 3]), np.array([0.5, -1.0, 2.0])
    chances, white = grey / 4, 1 / (1 + np.exp(-logits))
    expected = sum(
        np.prod(np.where(pattern, chances, 1 - chances))
        * np.log(np.where(pattern, white, 1 - white)).sum()
        for pattern in PATTERNS
    )
    scaling = ImageScaling(levels=5)
    x = scaling.dequantize(jnp.asarray(grey), jnp.asarray([0.9, 0.2, 0.6]))
    logits = jnp.asarray(logits, jnp.float32)
    actual = BernoulliOutput(scaling=scaling).log_density({}, logits[None], x[None])
    np.testing.assert_allclose(actual, [expected], rtol=1e-5)


@pytest.mark.parametrize("levels", [2, 5])
def test_images_drawn_are_black_and_white_and_uniform_within_their_bins(levels, key):
    """20,000 draws of three pixels; the mean image is their mean level."""
    output, scaling = jnp.asarray(BIASES, jnp.float32), ImageScaling(levels=levels)
    bernoulli, count = BernoulliOutput(scaling=scaling), 20_000
    logits = jnp.broadcast_to(output[None], (count, 3))
    x = np.asarray(jax.jit(bernoulli.draw)({}, jax.random.split(key, count), logits))
    level = np.asarray(scaling.to_levels(jnp.asarray(x)))
    assert set(np.unique(level)) == {0, levels - 1}
    z = z_scores(level / (levels - 1), 1 / (1 + np.exp(-BIASES)))
    assert np.abs(z).max() < 5, z
    place = (x + 1) * levels / 2 - level
    for moment, expected in ((place, 1 / 2), (place**2, 1 / 3)):
        z = z_scores(moment, expected)
        assert np.abs(z).max() < 5, z
    mean = (np.asarray(bernoulli.mean({}, logits[:1]))[0] + 1) / 2
    np.testing.assert_allclose(mean, 1 / (1 + np.exp(-BIASES)), rtol=1e-5)


def test_a_loss_that_is_no_density_gives_no_likelihood(key):
    grey = BernoulliOutput(scaling=ImageScaling(levels=256))
    assert (BINARY.is_density, grey.is_density, GaussianOutput().is_density) == (True, False, True)
    model = VAE(encoder=MODEL.encoder, decoder=MODEL.decoder, output=grey)
    with pytest.raises(ValueError, match=r"`output` that is a density of the data: got Bernoulli"):
        model.log_likelihoods(PARAMS, jax.random.split(key, 8), dequantized(0))


def test_the_deviation_has_a_floor_from_which_it_can_return():
    """A perfect reconstruction wants no deviation; a wrong one, from the floor, more of it."""
    gaussian = GaussianOutput(scale_min=0.01)
    x = jnp.full((1, 2), 0.7)
    density = gaussian.log_density({"log_scale": jnp.asarray(-50.0)}, x, x)
    np.testing.assert_allclose(density, [-2 * np.log(0.01 * np.sqrt(2 * np.pi))], rtol=1e-5)

    def loss(log_scale, output):
        return -gaussian.log_density({"log_scale": log_scale}, output, x)[0]

    slope = jax.jit(jax.grad(loss))
    for log_scale in (-4.0, -8.0, -12.0):
        assert slope(log_scale, x) > 0
        assert slope(log_scale, x + 0.1) < 0


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: GaussianOutput(scale_min=0.0), "`scale_min` must be positive and finite: got 0.0"),
        (
            lambda: BernoulliOutput(scaling=ImageScaling(centered=False)),
            r"`scaling` must be centered.*got ImageScaling\(levels=256, centered=False\)",
        ),
    ],
)
def test_distributions_that_are_refused(build, complaint):
    with pytest.raises(ValueError, match=complaint):
        build()
