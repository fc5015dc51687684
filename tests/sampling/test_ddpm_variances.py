"""The DDPM sampler with either variance, and the one that is none, on a lopsided Gaussian."""

import jax
import numpy as np
import pytest
from cases import DEVIATION, MEAN, SDES, keys

from sde_jax.sampling import Ancestral, PredictorCorrector, PublishedGrid
from sde_jax.sde import DDPMChain

LEVELS = 1000


def noise_variances(levels):
    """Of the noise that each step adds, by the name of the rule."""
    betas = np.linspace(0.1 / levels, 20.0 / levels, levels)
    products = np.cumprod(1 - betas)
    below = np.concatenate([[1.0], products[:-1]])
    return {
        "beta": betas,
        "posterior": betas * (1 - below) / (1 - products),
        "unit weights": betas**2 / ((1 - betas) * (1 - products)),
    }


def law_of_samples(levels, variance):
    """Mean and deviation of what the reverse chain ends with, by an exact recursion.

    Its steps are those of Ho et al. 2020, eq. 7, with the posterior mean of x_0 of a Gaussian; the
    last is without noise.
    """
    variances = noise_variances(levels)
    betas, added = variances["beta"], variances[variance]
    products = np.concatenate([[1.0], np.cumprod(1 - betas)])
    mean, total = 0.0, 1.0
    for i in reversed(range(levels)):
        below, above = products[i], products[i + 1]
        of_data = np.sqrt(below) * betas[i] / (1 - above)
        of_noisy = np.sqrt(1 - betas[i]) * (1 - below) / (1 - above)
        regression = np.sqrt(above) * DEVIATION**2 / (above * DEVIATION**2 + 1 - above)
        gain = of_noisy + of_data * regression
        mean = gain * mean + of_data * (1 - regression * np.sqrt(above)) * MEAN
        total = gain**2 * total + (added[i] if i else 0.0)
    return mean, np.sqrt(total)


@pytest.mark.slow(
    "tests/sampling/test_predictors.py::test_ancestral_noise_is_of_the_posterior_or_of_the_transition"
)
@pytest.mark.parametrize("variance", ["beta", "posterior"])
def test_either_variance_reproduces_a_gaussian(variance, key):
    """At 1000 steps the deviation is right to 3 %; 2^13 samples have mean and deviation of the
    recursion to 5 standard errors."""
    sde, chain = SDES["vp"], DDPMChain(levels=LEVELS)

    def score(x, t):
        alpha, sigma = chain.alpha(sde, t), chain.sigma(sde, t)
        return (alpha * MEAN - x) / (alpha**2 * DEVIATION**2 + sigma**2)

    sampler = PredictorCorrector(
        grid=PublishedGrid(steps=LEVELS, t_min=1e-5),
        predictor=Ancestral(transition=chain, variance=variance),
        end="mean",
    )
    run = jax.jit(lambda keys: sampler(keys, score, sde, (64,)))
    x = np.asarray(run(keys(key, 128)).x, np.float64).ravel()
    assert x.std() == pytest.approx(DEVIATION, rel=0.03)
    mean, deviation = law_of_samples(LEVELS, variance)
    error = deviation / np.sqrt(x.size)
    z = [(x.mean() - mean) / error, (x.std() - deviation) / (error / np.sqrt(2))]
    assert np.abs(z).max() < 5, z


def test_variances_err_on_either_side():
    """The betas, right for unit data, leave too much deviation of narrower data, the posterior's
    variance too little; with more steps both errors vanish."""
    deviations = {
        (levels, variance): law_of_samples(levels, variance)[1]
        for levels in (100, 1000)
        for variance in ("beta", "posterior")
    }
    for levels, most in [(100, 0.1), (1000, 0.03)]:
        above = deviations[levels, "beta"] / DEVIATION - 1
        below = 1 - deviations[levels, "posterior"] / DEVIATION
        assert 0 < above < most
        assert 0 < below < most


def test_the_deviation_that_makes_the_weights_of_the_bound_one_is_none_to_sample_with():
    """``sigma_t = beta_t / sqrt((1 - beta_t)(1 - alpha_bar_t))``, added as noise, gives .065 where
    .4 is right: near the data it is the deviation of a step, but elsewhere far below."""
    mean, deviation = law_of_samples(LEVELS, "unit weights")
    assert mean == pytest.approx(MEAN, abs=1e-3)
    assert deviation == pytest.approx(0.065, abs=5e-4)
    variances = noise_variances(LEVELS)
    betas, products = variances["beta"], np.cumprod(1 - variances["beta"])
    weights = betas**2 / (2 * variances["unit weights"] * (1 - betas) * (1 - products))
    np.testing.assert_allclose(weights, np.full(LEVELS, 0.5))
    assert (variances["unit weights"][100:] < 0.2 * betas[100:]).all()
