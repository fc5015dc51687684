"""Blind denoisers as priors, where the best one is known: over a grid of levels, by Bayes' rule."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DEVIATION, MEAN, gaussian, keys
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sde_jax.sampling import (
    BlindAscent,
    EulerMaruyama,
    LogSNRGrid,
    PredictorCorrector,
    draw_prior,
)
from sde_jax.score import BlindDenoiserScore, GaussianMixture, MixtureScore
from sde_jax.sde import VE, CosineVP, OrnsteinUhlenbeck

DIMENSION, FILLED, COUNT = 64, 4, 150
LEVELS = VE(sigma_min=0.005, sigma_max=60.0)
START = 10.0
SDE = VE(sigma_min=0.005, sigma_max=START)


def blind_denoise(mixture, y):
    """``sum_k p(level_k | y) E[x_0 | y, level_k]`` over 32 levels, alike before y is seen."""
    times = jnp.linspace(0.0, 1.0, 32)
    log_likelihoods = jax.vmap(lambda t: mixture.log_density(LEVELS, y, t))(times)
    means = jax.vmap(lambda t: mixture.denoised(LEVELS, y, t))(times)
    return (jax.nn.softmax(log_likelihoods, axis=0)[:, :, None] * means).sum(axis=0)


def blind_score(mixture, sde=SDE):
    return BlindDenoiserScore(jax.tree_util.Partial(blind_denoise, mixture), sde)


def point_score(sde):
    return BlindDenoiserScore(jax.tree_util.Partial(jnp.full_like, fill_value=MEAN), sde)


def thin_mixture():
    """Two components, .3 and .7, that fill 4 of the 64 directions, with deviation .4."""
    filled = jnp.arange(DIMENSION) < FILLED
    means = jnp.stack([jnp.full(DIMENSION, -0.5), jnp.full(DIMENSION, 0.9)])
    variances = jnp.where(filled, DEVIATION**2, 1e-6)
    return GaussianMixture(jnp.asarray([0.3, 0.7]), means, jnp.stack([variances, variances]))


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def draw(sampler, keys, score, sde, shape):
    return sampler(keys, score, sde, shape)


@jax.jit
def subtracted(mixture, y):
    """The residual subtracted whole, three times: ``y <- y + (f(y) - y)``."""
    return jax.lax.fori_loop(0, 3, lambda _, y: blind_denoise(mixture, y), y)


@jax.jit
def unscaled(mixture, y, key):
    """400 steps of Langevin dynamics, the residual taken for the score:
    ``y <- y + h (f(y) - y) + sqrt(2 h) noise`` with h = .05."""

    def step(count, y):
        noise = jax.random.normal(jax.random.fold_in(key, count), y.shape)
        return y + 0.05 * (blind_denoise(mixture, y) - y) + jnp.sqrt(0.1) * noise

    return jax.lax.fori_loop(0, 400, step, y)


@pytest.mark.slow("test_a_told_score_is_told_the_estimate")
def test_residuals_need_the_scale_of_the_noise(key):
    """On N(.7, .4^2) in 64 dimensions, of one blind denoiser, from the same start.

    Residuals subtracted one after the other leave the mean: ``f(y) = m + v / V (y - m)`` where y
    has variance V, so that from level 10 the deviation is .4^2 / 10 = .016 at once. Taken for a
    score, with noise that knows no level, they settle where ``v + 1 = 1.08^2``. Scaled by the level
    that the residual itself shows, they give .37 (the finite dimension's bias is in it) for .4.
    """
    key_start, key_noise, key_samples = jax.random.split(key, 3)
    mixture = gaussian(DIMENSION)
    y = START * jax.random.normal(key_start, (100, DIMENSION))
    samples = draw(BlindAscent(), keys(key_samples, 100), blind_score(mixture), SDE, (DIMENSION,))
    assert samples.converged.all()
    error = DEVIATION / np.sqrt(samples.x.size)
    assert abs(np.mean(samples.x) - MEAN) < 5 * error
    assert 0.9 * DEVIATION < samples.x.std() < DEVIATION
    collapsed, blown = subtracted(mixture, y), unscaled(mixture, y, key_noise)
    np.testing.assert_allclose(collapsed.std(), DEVIATION**2 / START, rtol=0.05)
    np.testing.assert_allclose(blown.std(), np.sqrt(DEVIATION**2 + 1), rtol=0.05)


@pytest.mark.slow("test_a_told_score_is_told_the_estimate")
@pytest.mark.parametrize(("step", "tolerance"), [(0.01, 0.25), (0.003, 0.15)])
def test_a_thin_mixture_has_its_shares_and_deviations(step, tolerance, key):
    """Shares and means to 5 standard errors. Deviations are too small, by what the steps
    leave out: .34 for .4, of finer steps .37."""
    sampler, score = BlindAscent(step=step), blind_score(thin_mixture())
    samples = draw(sampler, keys(key, COUNT), score, SDE, (DIMENSION,))
    assert samples.converged.all()
    check_thin(samples.x, tolerance)


@pytest.mark.slow(
    "tests/score/test_denoiser_adapters.py::test_samples_of_a_told_denoiser_have_the_datas_mean_and_covariance"
)
def test_a_blind_denoiser_serves_an_sde_on_a_grid_of_times(key):
    """The level is the SDE's there, and no ascent's: of 100 steps deviations are .38 for .4.

    They start at level 40, 3.6 times the distance of the components, for they forget less.
    """
    sde = CosineVP(log_snr_prior=-2 * np.log(40.0))
    sampler = PredictorCorrector(grid=LogSNRGrid(steps=100), predictor=EulerMaruyama())
    samples = draw(sampler, keys(key, COUNT), blind_score(thin_mixture(), sde), sde, (DIMENSION,))
    check_thin(samples.x, 0.12)


def check_thin(x, tolerance):
    x = np.asarray(x, np.float64)
    low = x.mean(axis=1) < 0.2
    z = (low.mean() - 0.3) / np.sqrt(0.21 / len(x))
    assert abs(z) < 5, z
    for chosen, mean in ((low, -0.5), (~low, 0.9)):
        filled, empty = np.split(x[chosen], [FILLED], axis=1)
        np.testing.assert_allclose(empty, mean, atol=0.01)
        assert abs(filled.mean() - mean) < 5 * DEVIATION / np.sqrt(filled.size)
        np.testing.assert_allclose(filled.std(), DEVIATION, rtol=tolerance)


def test_a_told_score_is_told_the_estimate(key):
    """On N(.7, .4^2) in 64 dimensions, with no blind denoiser's bias."""
    score = MixtureScore(gaussian(DIMENSION), SDE)
    samples = draw(BlindAscent(), keys(key, COUNT), score, SDE, (DIMENSION,))
    assert samples.converged.all()
    np.testing.assert_allclose(samples.x.std(), DEVIATION, rtol=0.03)


def test_the_level_falls_as_stated(key):
    """Of a point the residual shows the level exactly: ``prod (1 - beta h)`` of it is left after 20
    steps, within 5 standard errors of 16 samples in 4096 dimensions."""
    step, beta, shape = 0.02, 0.4, (64, 64)
    h = np.array([step * n / (1 + step * (n - 1)) for n in range(1, 21)])
    sampler = BlindAscent(step=step, beta=beta, max_steps=20)
    samples = draw(sampler, keys(key, 16), point_score(SDE), SDE, shape)
    logs = np.log(np.sqrt(((samples.x - MEAN) ** 2).mean(axis=(1, 2))) / START)
    expected = np.log(1 - beta * h).sum() + MEAN**2 / START**2 / 2
    z = (logs.mean() - expected) / (logs.std() / np.sqrt(16))
    assert abs(z) < 5, (z, logs.mean(), expected)


def test_without_noise_the_steps_of_each_sample_are_known(key):
    """With beta 1 a step leaves ``1 - h`` of the distance to a point, which is the end."""
    all_keys, sampler = keys(key, 8), BlindAscent(step=0.05, beta=1.0, level_min=0.3)
    samples = draw(sampler, all_keys, point_score(SDE), SDE, (2,))
    prior = draw_prior(jax.vmap(jax.random.split, out_axes=1)(all_keys)[0], SDE, (2,))
    levels = np.sqrt(((np.asarray(prior, np.float64) - MEAN) ** 2).mean(axis=1))
    expected = []
    for level in levels:
        n = 1
        while level > 0.3:
            level *= 1 - 0.05 * n / (1 + 0.05 * (n - 1))
            n += 1
        expected.append(n)
    np.testing.assert_array_equal(samples.nfe, expected)
    np.testing.assert_allclose(samples.x, MEAN, rtol=1e-6)
    assert len(set(expected)) > 2


@pytest.mark.slow(
    "tests/sampling/test_probability_flow.py::test_a_sample_and_its_cost_do_not_depend_on_the_batch"
)
def test_a_sample_and_its_cost_do_not_depend_on_the_batch(key):
    with jax.enable_x64(True):
        all_keys, score = keys(key, 8), blind_score(gaussian(8))
        together = draw(BlindAscent(), all_keys, score, SDE, (8,))
        for j in (0, 5):
            alone = draw(BlindAscent(), all_keys[j : j + 1], score, SDE, (8,))
            np.testing.assert_allclose(alone.x[0], together.x[j], rtol=1e-7)
            assert alone.nfe[0] == together.nfe[j]
        assert len(set(np.asarray(together.nfe))) > 1


@pytest.mark.slow("test_without_noise_the_steps_of_each_sample_are_known")
def test_a_blind_ascent_takes_no_more_than_the_prior_from_the_sde(key):
    """Two processes of very different alpha that begin at ``e^5`` in units of the data."""
    with jax.enable_x64(True):
        results = [
            draw(BlindAscent(), keys(key, 4), blind_score(gaussian(8), sde), sde, (8,))
            for sde in (OrnsteinUhlenbeck(), VE(sigma_max=np.exp(5.0)))
        ]
        np.testing.assert_allclose(results[0].x, results[1].x, rtol=1e-6)
        np.testing.assert_array_equal(results[0].nfe, results[1].nfe)


def test_nfe_is_the_number_of_calls(key):
    calls = []

    def score(x, t):
        jax.debug.callback(lambda: calls.append(None))
        return point_score(SDE)(x, t)

    samples = jax.jit(lambda keys: BlindAscent(beta=0.5)(keys, score, SDE, (2, 3)))(keys(key, 1))
    jax.effects_barrier()
    np.testing.assert_array_equal(samples.nfe, [len(calls)])


def test_what_does_not_end_is_reported(key):
    """At the limit of steps, and where the denoiser fails: there for its own sample only."""
    stopped = draw(BlindAscent(max_steps=7), keys(key, 3), point_score(SDE), SDE, (2,))
    np.testing.assert_array_equal(stopped.converged, [False] * 3)
    np.testing.assert_array_equal(stopped.nfe, [7] * 3)

    def denoise(y):
        return jnp.where(y.max() > START, jnp.nan, jnp.full_like(y, MEAN))

    score = BlindDenoiserScore(jax.tree_util.Partial(denoise), SDE)
    samples = draw(BlindAscent(beta=1.0), keys(key, 16), score, SDE, (2,))
    assert 0 < samples.converged.sum() < 16
    assert jnp.isnan(samples.x[~samples.converged]).all()
    np.testing.assert_allclose(samples.x[samples.converged], MEAN, rtol=1e-6)


def test_a_start_below_the_least_level_is_denoised_once(key):
    samples = draw(BlindAscent(level_min=1e3), keys(key, 3), point_score(SDE), SDE, (2,))
    np.testing.assert_array_equal(samples.nfe, [1] * 3)
    np.testing.assert_allclose(samples.x, MEAN, rtol=1e-5)
    assert samples.converged.all()


@pytest.mark.slow("tests/sampling/test_sampling_devices.py::test_jit_over_sharded_keys")
def test_keys_may_be_spread_over_devices(key):
    mesh, score = Mesh(np.array(jax.devices()), ("data",)), point_score(SDE)
    spread = jax.device_put(keys(key, 16), NamedSharding(mesh, PartitionSpec("data")))
    result = draw(BlindAscent(), spread, score, SDE, (8,))
    expected = draw(BlindAscent(), keys(key, 16), score, SDE, (8,))
    assert len(result.x.sharding.device_set) == 8
    np.testing.assert_allclose(result.x, expected.x, atol=1e-4)
    np.testing.assert_array_equal(result.nfe, expected.nfe)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step": 0.0}, r"^`step` must be in \(0, 1\]: got step=0\.0\.$"),
        ({"beta": 1.5}, r"^`beta` must be in \(0, 1\]: got beta=1\.5\.$"),
        ({"level_min": 0.0}, r"^`level_min` must be positive: got level_min=0\.0\.$"),
        ({"max_steps": 0}, r"^`max_steps` must be at least 1: got max_steps=0\.$"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BlindAscent(**settings)
