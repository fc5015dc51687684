"""Training times: their distribution, importance and strata."""

import jax
import numpy as np
import oracles
import pytest
from cases import SDES, each_name_slowly, each_sde_slowly
from scipy.integrate import quad
from scipy.stats import chisquare, kstest

from sde_jax.objectives import (
    DiscreteTimes,
    LikelihoodTimes,
    LogitNormalTimes,
    LogNormalNoise,
    StratifiedTimes,
    UniformTimes,
)
from sde_jax.randomness import example_seeds

T_MIN = 1e-5
EVERY = [UniformTimes(), StratifiedTimes(), LikelihoodTimes()]
each_sampler = pytest.mark.parametrize("times", EVERY, ids=lambda times: type(times).__name__)


@pytest.mark.parametrize(("name", "value"), [("vp", 23.8645), ("subvp", 37.679), ("ve", 17.034)])
def test_published_normalizers(name, value):
    with jax.enable_x64(True):
        assert LikelihoodTimes().normalizer(SDES[name]) == pytest.approx(value, rel=2e-5)
    assert LikelihoodTimes().normalizer(SDES[name]) == pytest.approx(value, rel=1e-4)


@each_name_slowly
def test_the_normalizer_is_the_integral_of_the_weight(name):
    """``g^2 / sigma^2`` over [0.01, 1], by quadrature over the processes' definitions."""
    process = oracles.PROCESSES[name]
    weight = [
        quad(lambda t: process.diffusion_squared(t) / process.sigma(t) ** 2, *ends, epsrel=1e-6)[0]
        for ends in [(0.01, 0.1), (0.1, 0.9), (0.9, 1.0)]
    ]
    normalizer = LikelihoodTimes(t_min=0.01).normalizer(SDES[name])
    assert normalizer == pytest.approx(sum(weight), rel=1e-4)


def likelihood_cdf(sde, t):
    """The share of the integral of ``g^2 / sigma^2`` below ``t``, by the trapezoidal rule."""
    # near t = 1 the cosine schedule is as steep as near 0: refine there, too
    grid = np.union1d(np.geomspace(T_MIN, 1.0, 20_001), 1 - np.geomspace(1e-6, 0.9, 20_001))
    grid = grid[grid >= T_MIN]
    with jax.enable_x64(True):
        weight = jax.jit(lambda t: sde.diffusion_squared(t) / sde.sigma(t) ** 2)
        density = np.asarray(weight(grid))
    steps = np.diff(grid) * (density[1:] + density[:-1]) / 2
    below = np.concatenate([[0.0], np.cumsum(steps)])
    return np.interp(t, grid, below / below[-1])


@each_sde_slowly
def test_likelihood_times_have_the_density_of_the_weight(sde, key):
    """Kolmogorov-Smirnov, of 2000 single draws: strata would look too regular to the test."""
    draw = jax.vmap(lambda key: LikelihoodTimes()(example_seeds(key, 1), sde).t[0])
    t = np.asarray(jax.jit(draw)(jax.random.split(key, 2000)))
    assert kstest(t, lambda t: likelihood_cdf(sde, t)).pvalue > 1e-3
    assert kstest(t, lambda t: likelihood_cdf(sde, t**1.3)).pvalue < 1e-3


@pytest.mark.parametrize("times", [UniformTimes(t_min=0.2), StratifiedTimes(t_min=0.2)])
def test_uniform_times_are_uniform(times, key):
    draw = jax.vmap(lambda key: times(example_seeds(key, 1), SDES["vp"]).t[0])
    t = np.asarray(jax.jit(draw)(jax.random.split(key, 2000)))
    assert kstest(t, "uniform", args=(0.2, 0.8)).pvalue > 1e-3
    assert t.min() >= 0.2
    np.testing.assert_array_equal(times(example_seeds(key, 7), SDES["vp"]).importance, np.ones(7))


def test_strata_hold_one_time_each(key):
    t = np.asarray(StratifiedTimes(t_min=0.1)(example_seeds(key, 50), SDES["vp"]).t)
    np.testing.assert_array_equal(np.floor((t - 0.1) / 0.9 * 50 + 1e-4), np.arange(50))


@each_sde_slowly
def test_strata_of_likelihood_times_have_equal_shares(sde, key):
    t = jax.jit(lambda key: LikelihoodTimes()(example_seeds(key, 40), sde).t)(key)
    shares = likelihood_cdf(sde, np.asarray(t)) * 40
    assert (np.abs(shares - (np.arange(40) + 0.5)) < 0.52).all()


@each_sde_slowly
def test_importance_weights_make_means_over_time_unbiased(sde, key):
    """The mean of ``importance f(t)`` is the mean of f, for f = g^2 (t + 1), within 5 errors."""

    def integrand(t):
        return sde.sigma(t) ** 2 * (t + 1)

    with jax.enable_x64(True):
        exact_times = np.linspace(T_MIN, 1.0, 200_001)
        weight = np.asarray(jax.jit(integrand)(exact_times))
        expected = np.trapezoid(weight, exact_times) / (1 - T_MIN)

    @jax.jit
    @jax.vmap
    def one(key):
        drawn = LikelihoodTimes()(example_seeds(key, 64), sde)
        return (drawn.importance * integrand(drawn.t)).mean()

    values = np.asarray(one(jax.random.split(key, 200)))
    z = (values.mean() - expected) / (values.std() / np.sqrt(len(values)))
    assert abs(z) < 5, z


@each_sampler
@each_sde_slowly
def test_times_stay_between_t_min_and_one(times, sde, key):
    t = np.asarray(jax.jit(lambda key: times(example_seeds(key, 1000), sde).t)(key))
    assert t.min() >= np.float32(T_MIN)
    assert t.max() <= 1.0


@each_sampler
@pytest.mark.parametrize("t_min", [0.0, 1.0, -1e-3, float("nan")])
def test_wrong_ends_are_refused(times, t_min):
    rule = r"(lie between 0 and 1: got t_min=.* usual|be finite in 32 bits: got t_min=nan)\."
    with pytest.raises(ValueError, match=f"`t_min` must {rule}"):
        type(times)(t_min=t_min)


@pytest.mark.parametrize("levels", [2, 50])
def test_discrete_times_are_those_of_the_levels_alike(levels, key):
    t, importance = DiscreteTimes(levels=levels)(example_seeds(key, 200 * levels), SDES["vp"])
    expected = (np.arange(levels) / (levels - 1)).astype(np.float32)
    times, counts = np.unique(t, return_counts=True)
    np.testing.assert_array_equal(times, expected)
    assert chisquare(counts).pvalue > 1e-3
    np.testing.assert_array_equal(importance, np.ones_like(t))


@each_sde_slowly
def test_log_normal_noise_has_that_law_in_every_process(sde, key):
    """The law of noise_to_signal, also beyond the ends of the process; the importance is 1."""
    times = LogNormalNoise(mean=-1.0, deviation=2.0)

    @jax.jit
    def draw(key):
        t, importance = times(example_seeds(key, 2000), sde)
        return sde.noise_to_signal(t), importance

    levels, importance = draw(key)
    standardized = (np.log(levels) + 1.0) / 2.0
    assert kstest(standardized, "norm").pvalue > 1e-3
    np.testing.assert_array_equal(importance, np.ones(2000))


def test_logit_normal_times_have_that_law(key):
    times = LogitNormalTimes(mean=-0.5, deviation=2.0)
    t, importance = jax.jit(lambda key: times(example_seeds(key, 2000), SDES["vp"]))(key)
    t = np.asarray(t, np.float64)
    assert kstest((np.log(t / (1 - t)) + 0.5) / 2.0, "norm").pvalue > 1e-3
    np.testing.assert_array_equal(importance, np.ones(2000))
    assert LogitNormalTimes() == LogitNormalTimes(mean=0.0, deviation=1.0)


def test_the_published_noise_is_the_default():
    assert LogNormalNoise() == LogNormalNoise(mean=-1.2, deviation=1.2)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"^`deviation` must be positive: got deviation=0\.0\.$"):
        LogNormalNoise(deviation=0.0)
    with pytest.raises(ValueError, match=r"^`deviation` must be positive: got deviation=-1\.0\.$"):
        LogitNormalTimes(deviation=-1.0)
    with pytest.raises(ValueError, match=r"^`levels` must be at least 2: got levels=1\.$"):
        DiscreteTimes(levels=1)
