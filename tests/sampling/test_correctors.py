"""Langevin correctors: their stationary variance, and the rules for their step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DEVIATION, MEAN, SDES, each_sde_slowly, gaussian, keys

from sde_jax.sampling import (
    BatchNormStep,
    Langevin,
    PredictorCorrector,
    ReverseDiffusion,
    SampleNormStep,
    ScheduledStep,
    UniformGrid,
)
from sde_jax.score import MixtureScore

RULES = [ScheduledStep(), SampleNormStep(), BatchNormStep()]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)


@each_sde_slowly
def test_the_stationary_variance_at_a_fixed_time(sde):
    """``V / (1 - e / (2 V))``, of the corrector's own map ``A x + b + c noise``."""
    score, corrector = MixtureScore(gaussian(), sde), Langevin(snr=0.16)

    @jax.jit
    def move(x, noise, t, s):
        x, noise = (jnp.full((1, 1), value) for value in (x, noise))
        return corrector(noise, score, sde, x, t, s).x[0, 0]

    coefficients = jax.jit(lambda t, s: (sde.alpha(t), sde.sigma(t), sde.alpha(s)))
    for t in (0.05, 0.5, 0.95):
        s = t - 0.002
        with jax.enable_x64(True):
            zero = float(move(0.0, 0.0, t, s))
            a, c = float(move(1.0, 0.0, t, s)) - zero, float(move(0.0, 1.0, t, s)) - zero
            alpha, sigma, alpha_s = map(float, coefficients(t, s))
        mean, variance = zero / (1 - a), c**2 / (1 - a**2)
        v = (alpha * DEVIATION) ** 2 + sigma**2
        step = 2 * (alpha / alpha_s) ** 2 * (0.16 * sigma) ** 2
        np.testing.assert_allclose(mean, alpha * MEAN, rtol=1e-7)
        np.testing.assert_allclose(variance, v / (1 - step / (2 * v)), rtol=1e-7)


@each_sde_slowly
def test_one_step_is_langevin(sde, key):
    key_x, key_noise = jax.random.split(key)
    x, noise = jax.random.normal(key_x, (3, 4)), jax.random.normal(key_noise, (3, 4))
    t, s = jnp.asarray(0.5), jnp.asarray(0.49)
    score = MixtureScore(gaussian(4), sde)

    @jax.jit
    def step_and_expected(x, noise):
        size = (sde.alpha(t) / sde.alpha(s)) ** 2 * ScheduledStep()(0.2, noise, x, sde, t)
        expected = x + size * score(x, t), jnp.sqrt(2 * size) * noise
        return Langevin(snr=0.2)(noise, score, sde, x, t, s), expected

    step, (mean, spread) = step_and_expected(x, noise)
    np.testing.assert_allclose(step.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(step.x) - step.mean, spread, atol=1e-4)


@each_sde_slowly
def test_sizes_of_the_three_rules(sde):
    """``2 (snr q)^2`` with q = sigma, or |noise| / |score| of each sample, or of batch means."""
    t, snr = jnp.asarray(0.5), 0.3
    noise = jnp.asarray([[3.0, 4.0], [0.0, 1.0]])
    score = jnp.asarray([[2.0, 0.0], [0.0, 8.0]])
    expected = {
        ScheduledStep(): 2 * (snr * float(sde.sigma(t))) ** 2,
        SampleNormStep(): 2 * (snr * np.array([5 / 2, 1 / 8])) ** 2,
        BatchNormStep(): 2 * (snr * (5 + 1) / (2 + 8)) ** 2,
    }
    for rule, size in expected.items():
        np.testing.assert_allclose(rule(snr, noise, score, sde, t), size, rtol=1e-5)


@pytest.mark.parametrize(
    ("dimension", "count", "expected", "tolerance"),
    [(64, 400, 0.416, 0.004), (3072, 16, 0.4043, 0.003)],
)
@pytest.mark.slow("test_sizes_of_the_three_rules")
def test_norms_per_sample_are_biased_in_few_dimensions(dimension, count, expected, tolerance, key):
    """Deviations measured elsewhere, of a Gaussian of .4 under VP at 500 steps."""
    by_sample, by_batch, scheduled = (
        deviation(rule, dimension, count, key)
        for rule in (SampleNormStep(), BatchNormStep(), ScheduledStep())
    )
    assert by_sample == pytest.approx(expected, abs=tolerance)
    # 5 standard errors of the deviation, plus 1 %
    error = 5 * 0.4 / np.sqrt(2 * dimension * count) + 0.004
    assert by_batch == pytest.approx(0.4, abs=error)
    assert scheduled == pytest.approx(0.4, abs=error)


@pytest.mark.slow("test_sizes_of_the_three_rules")
def test_norms_per_sample_fail_in_the_plane(key):
    """1 / |score|^2 has no mean there: 1.45 was measured where the data have .4."""
    assert deviation(SampleNormStep(), 2, 1000, key) > 0.6
    # 5 standard errors of 2000 numbers
    assert deviation(BatchNormStep(), 2, 1000, key) == pytest.approx(0.4, abs=0.032)


def deviation(rule, dimension, count, key):
    """Deviation of the samples of VP at 500 steps and snr .16, over all coordinates."""
    sampler = PredictorCorrector(
        grid=UniformGrid(steps=500),
        predictor=ReverseDiffusion(),
        corrector=Langevin(step_size=rule),
    )
    score = MixtureScore(gaussian(dimension), SDES["vp"])
    samples = jax.jit(lambda keys: sampler(keys, score, SDES["vp"], (dimension,)).x)
    return float(np.std(samples(keys(key, count))))


@each_rule
def test_norms_are_over_all_dimensions_of_an_image(rule):
    t, sde = jnp.asarray(0.5), SDES["vp"]
    noise, score = jnp.arange(1.0, 13.0).reshape(2, 3, 2), jnp.ones((2, 3, 2))
    flat = rule(0.1, noise.reshape(2, 6), score.reshape(2, 6), sde, t)
    np.testing.assert_allclose(rule(0.1, noise, score, sde, t), flat, rtol=1e-6)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"^`snr` must be positive: got snr=0\.0\.$"):
        Langevin(snr=0.0)
    with pytest.raises(ValueError, match=r"^`steps` must be at least 1: got steps=0\.$"):
        Langevin(steps=0)
