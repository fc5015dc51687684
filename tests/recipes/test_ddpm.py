"""The DDPM of MNIST is that of Ho et al. 2020, by numpy."""

import jax
import numpy as np
import pytest

from experiments.digits import digits_ddpm
from experiments.mnist import mnist_ddpm
from experiments.mnist_narrow import mnist_ddpm_narrow
from sde_jax.randomness import example_seeds

EXPERIMENTS = [make() for make in (mnist_ddpm, mnist_ddpm_narrow, digits_ddpm)]
BETAS = np.linspace(1e-4, 0.02, 1000)
PRODUCTS = np.cumprod(1 - BETAS)
MEAN, DEVIATION = 0.7, 0.4


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_network_is_told_every_index_and_shown_its_noise(experiment, key):
    model = experiment.model()
    t = experiment.times(example_seeds(key, 20_000), experiment.sde).t
    told = np.asarray(model.time_condition(experiment.sde, t))
    index = told.astype(int)
    np.testing.assert_array_equal(told, index)
    np.testing.assert_array_equal(np.unique(index), np.arange(1000))
    alpha, sigma = (np.ravel(part) for part in model.coefficients(t, t[:, None]))
    np.testing.assert_allclose(alpha, np.sqrt(PRODUCTS)[index], rtol=1e-5)
    np.testing.assert_allclose(sigma, np.sqrt(1 - PRODUCTS)[index], rtol=1e-5)


def regression(index):
    """Slope and intercept, in x, of the noise expected in x of Gaussian data."""
    product = PRODUCTS[index]
    slope = np.sqrt(1 - product) / (product * DEVIATION**2 + 1 - product)
    return slope, -slope * np.sqrt(product) * MEAN


def law_of_published_samples():
    """Mean and deviation of samples by eq. 11 and the variance of the posterior."""
    mean, variance = 0.0, 1.0
    for index in reversed(range(1000)):
        slope, intercept = regression(index)
        noise_share = BETAS[index] / np.sqrt(1 - PRODUCTS[index])
        gain = (1 - noise_share * slope) / np.sqrt(1 - BETAS[index])
        mean = gain * mean - noise_share * intercept / np.sqrt(1 - BETAS[index])
        below = PRODUCTS[index] / (1 - BETAS[index])
        posterior = BETAS[index] * (1 - below) / (1 - PRODUCTS[index])
        variance = gain**2 * variance + posterior
    return mean, np.sqrt(variance)


def test_samples_have_the_law_of_the_published_ones(key):
    """Of a network that predicts the noise in Gaussian data of deviation .4 as well as can be.

    16,384 samples have it to 5 standard errors, .016 and .011; without its noise the sampler
    would leave a deviation below .1.
    """
    experiment = mnist_ddpm()
    model = experiment.model()
    slopes, intercepts = regression(np.arange(1000))

    def score(x, t):
        told = model.time_condition(experiment.sde, t)
        slope, intercept = (
            jax.numpy.interp(told, np.arange(1000), values) for values in (slopes, intercepts)
        )
        return model.parameterization.to_score(
            slope * x + intercept, x, *model.coefficients(t[None], x)
        )

    sampler = experiment.sampling.build()
    run = jax.jit(lambda keys: sampler(keys, score, experiment.sde, (64,)))
    samples = run(jax.random.split(key, 256))
    assert (samples.nfe == 1001).all()
    x = np.asarray(samples.x, np.float64)
    mean, deviation = law_of_published_samples()
    assert deviation == pytest.approx(DEVIATION, rel=0.03)
    error = deviation / np.sqrt(x.size)
    assert abs(x.mean() - mean) < 5 * error
    assert abs(x.std() - deviation) < 5 * error / np.sqrt(2)


def test_there_are_82_epochs():
    """Of 60,000 images; no batch is cut short."""
    training = mnist_ddpm().training
    assert round(training.steps * training.batch_size / 60_000, 3) == 82.001
    assert training.seed == 0


def test_an_image_costs_two_cores_little():
    network = mnist_ddpm_narrow().network.build()
    x, time = jax.numpy.zeros((1, 32, 32, 1)), jax.numpy.zeros(1)
    params = jax.eval_shape(network.init, jax.random.key(0), x, time)
    cost = jax.jit(network.apply).lower(params, x, time).cost_analysis()
    assert 0.1e9 < cost["flops"] <= 0.15e9
