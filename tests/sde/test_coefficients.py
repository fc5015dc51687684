"""Coefficients of every process: identities, numerical integration, float32 near zero, inverses."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import SDES, each_name

from sde_jax.sde import TruncatedSDE

TRUNCATED = {f"truncated-{name}": TruncatedSDE(sde=sde, end=0.6) for name, sde in SDES.items()}
PROCESSES = SDES | TRUNCATED
each_process = pytest.mark.parametrize(
    "sde",
    [
        pytest.param(
            sde,
            marks=() if name in SDES or name == "truncated-vp" else pytest.mark.slow,
        )
        for name, sde in PROCESSES.items()
    ],
    ids=PROCESSES.keys(),
)

TIMES = np.concatenate([np.geomspace(1e-5, 0.05, 8), np.linspace(0.1, 1.0, 10)])
TINY_TIMES = np.concatenate([np.geomspace(1e-7, 1.0, 200), [0.999, 0.9999]])


@each_process
def test_drift_rate_is_the_slope_of_log_alpha(sde):
    with jax.enable_x64(True):
        slopes = jax.vmap(jax.grad(sde.log_alpha))(jnp.asarray(TIMES))
        np.testing.assert_allclose(sde.drift_rate(jnp.asarray(TIMES)), slopes, rtol=1e-10)


@each_process
def test_diffusion_is_the_variance_that_the_drift_does_not_explain(sde):
    with jax.enable_x64(True):
        t = jnp.asarray(TIMES)
        slopes = jax.vmap(jax.grad(lambda t: sde.sigma(t) ** 2))(t)
        expected = slopes - 2 * sde.drift_rate(t) * sde.sigma(t) ** 2
        np.testing.assert_allclose(sde.diffusion_squared(t), expected, rtol=1e-8)


@each_process
def test_alpha_and_noise_to_signal_follow(sde):
    with jax.enable_x64(True):
        t = jnp.asarray(TIMES)
        np.testing.assert_allclose(sde.alpha(t), np.exp(sde.log_alpha(t)), rtol=1e-12)
        ratio = sde.sigma(t) / sde.alpha(t)
        np.testing.assert_allclose(sde.noise_to_signal(t), ratio, rtol=1e-10)


@each_name
def test_alpha_and_sigma_agree_with_numerical_integration(name):
    process, times = oracles.PROCESSES[name], [1e-4, 0.02, 0.3, 0.7, 0.98]
    with jax.enable_x64(True):
        alpha, sigma = SDES[name].alpha(jnp.asarray(times)), SDES[name].sigma(jnp.asarray(times))
    np.testing.assert_allclose(alpha, [process.alpha(t) for t in times], rtol=1e-7)
    np.testing.assert_allclose(sigma, [process.sigma(t) for t in times], rtol=1e-7)


@each_process
@pytest.mark.parametrize("coefficient", ["sigma", "noise_to_signal", "diffusion_squared"])
def test_float32_is_right_down_to_tiny_times(sde, coefficient):
    single = jnp.asarray(TINY_TIMES, jnp.float32)
    approximate = getattr(sde, coefficient)(single)
    with jax.enable_x64(True):
        exact = getattr(sde, coefficient)(jnp.asarray(np.asarray(single), jnp.float64))
    assert approximate.dtype == jnp.float32
    np.testing.assert_allclose(approximate, exact, rtol=1e-5)


@each_process
@pytest.mark.parametrize("x64", [False, True], ids=["float32", "float64"])
def test_time_of_inverts_noise_to_signal(sde, x64):
    with jax.enable_x64(x64):
        t = jnp.concatenate([jnp.asarray([1e-7]), jnp.asarray(TIMES)])
        ratio = sde.noise_to_signal(t)
        # A time is known to its rounding, plus that of the ratio over the slope of its logarithm.
        rounding = jnp.finfo(t.dtype).eps
        slope = sde.diffusion_squared(t) / sde.sigma(t) ** 2 / 2
        back = sde.time_of(ratio)
        np.testing.assert_array_less(np.abs(back - t), 20 * rounding * (t + 1 / slope) + 1e-30)
        ratio_back = sde.noise_to_signal(back)
        tolerance = 40 * rounding * (1 + slope * t + np.abs(jnp.log(ratio)))
        np.testing.assert_array_less(np.abs(ratio_back / ratio - 1), tolerance)


@each_process
@pytest.mark.parametrize("x64", [False, True], ids=["float32", "float64"])
def test_time_of_reaches_both_ends(sde, x64):
    with jax.enable_x64(x64):
        ends = jnp.asarray([0.0, 1.0])
        tolerance = 1e-13 if x64 else 2e-6
        np.testing.assert_allclose(sde.time_of(sde.noise_to_signal(ends)), ends, atol=tolerance)


@each_process
def test_every_coefficient_keeps_the_shape_of_time(sde):
    names = ["log_alpha", "alpha", "sigma", "drift_rate", "diffusion_squared", "noise_to_signal"]
    for name in [*names, "time_of"]:
        for shape in [(), (3,), (2, 3)]:
            assert getattr(sde, name)(jnp.full(shape, 0.3)).shape == shape, name


@each_process
def test_noise_to_signal_increases(sde):
    assert (jnp.diff(sde.noise_to_signal(jnp.linspace(0.0, 1.0, 1001))) > 0).all()


@each_process
def test_prior_scale_is_the_deviation_at_the_end(sde):
    with jax.enable_x64(True):
        np.testing.assert_allclose(sde.prior_scale, sde.sigma(jnp.asarray(1.0)), rtol=1e-4)


@each_name
def test_sampling_ends_at_one_percent_of_noise_or_where_the_process_says(name):
    ends = {"subvp": 1e-3, "cosine": 0.0}
    end = SDES[name].sampling_end
    if name in ends:
        assert end == np.float32(ends[name])
    else:
        assert SDES[name].noise_to_signal(end) == pytest.approx(0.01, rel=1e-5)


def test_cosine_ends_at_its_log_snrs():
    ends = SDES["cosine"].noise_to_signal(jnp.asarray([0.0, 1.0]))
    np.testing.assert_allclose(-2 * jnp.log(ends), [15.0, -10.0], rtol=1e-5)


def test_cosine_is_linear_in_the_angle():
    """``log(alpha / sigma) = -log tan(pi u / 2)`` with u linear in t."""
    with jax.enable_x64(True):
        ratio = SDES["cosine"].noise_to_signal(jnp.linspace(0.0, 1.0, 50))
        u = np.arctan(np.asarray(ratio)) * 2 / np.pi
    np.testing.assert_allclose(np.diff(u, 2), 0.0, atol=1e-13)


def test_published_constants():
    """Constants of the paper's code: m(1), sigma/m at both ends of VP, and those of OU."""
    vp, ou = SDES["vp"], SDES["ou"]
    assert vp.alpha(jnp.asarray(1.0)) == pytest.approx(6.57e-3, rel=1e-3)
    assert vp.noise_to_signal(jnp.asarray(1.0)) == pytest.approx(152.2, rel=1e-3)
    assert vp.noise_to_signal(jnp.asarray(1e-3)) == pytest.approx(0.01049, rel=1e-3)
    assert ou.alpha(jnp.asarray(1.0)) == pytest.approx(0.0067, abs=1e-4)
    assert ou.prior_scale == pytest.approx(1.0)
