"""Likelihoods in fixed steps: of exact scores the closed form, of networks the adaptive solve's."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES, keys, plane_mixture

from sde_jax.likelihood import (
    ExactTrace,
    Hutchinson,
    Likelihood,
    MultistepLikelihood,
    even_times,
    fitted_times,
)
from sde_jax.ode import AdaptiveSolver
from sde_jax.score import GaussianMixture, MixtureScore, NetworkScore, ScoreModel

T_MIN = 1e-3


@functools.partial(jax.jit, static_argnums=(1, 3))
def noised(mixture, sde, key, count):
    """Points distributed as the data are at `T_MIN`."""
    key_data, key_noise = jax.random.split(key)
    t, x0 = jnp.asarray(T_MIN), mixture.sample(key_data, count)
    return sde.alpha(t) * x0 + sde.sigma(t) * jax.random.normal(key_noise, x0.shape)


def solved(times, score, sde, x, key, divergence):
    likelihood = MultistepLikelihood(times=times, divergence=divergence)
    return jax.jit(lambda keys, x: likelihood(keys, score, sde, x))(keys(key, len(x)), x)


def test_the_integral_is_of_parabolas_through_three_values(key):
    """At the mean of N(0, .4^2), where states stay: q is ``1 / (1 + .4^2 exp(-2 l))``.

    The parabolas are had by interpolation, and the density is near that of the closed form.
    """
    sde, dimension = SDES["vp"], 3
    with jax.enable_x64(True):
        times = even_times(sde, T_MIN, 12)

        def score(x, t):
            return -x / ((0.4 * sde.alpha(t)) ** 2 + sde.sigma(t) ** 2)

        found = solved(times, score, sde, np.zeros((1, dimension)), key, ExactTrace()).nats[0]
        coefficients = jax.jit(lambda t: (sde.alpha(t), sde.sigma(t)))(np.array(times))
    found, (alpha, sigma) = float(found), map(np.asarray, coefficients)
    levels = np.log(sigma / alpha)
    q = 1 / (1 + 0.4**2 * np.exp(-2 * levels))
    integral = 0.0
    for i in range(12):
        nodes = slice(max(i - 1, 0), i + 2)
        area = np.polyint(np.polyfit(levels[nodes], q[nodes], min(i + 1, 2)))
        integral += np.polyval(area, levels[i + 1]) - np.polyval(area, levels[i])
    gain = np.log(alpha[-1] / alpha[0]) + integral
    expected = dimension * (gain - 0.5 * np.log(2 * np.pi) - np.log(sde.prior_scale))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    deviation = np.hypot(0.4 * alpha[0], sigma[0])
    exact = -dimension * np.log(deviation * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(found, exact, atol=0.1)


@pytest.mark.slow("test_the_integral_is_of_parabolas_through_three_values")
@pytest.mark.parametrize("name", SDES)
def test_an_exact_trace_finds_the_adaptive_density_of_each_point(name, key):
    sde, mixture = SDES[name], plane_mixture()
    x, score = noised(mixture, sde, key, 20), MixtureScore(mixture, sde)
    found = solved(even_times(sde, T_MIN, 200), score, sde, x, key, ExactTrace())
    adaptive = Likelihood(
        divergence=ExactTrace(), t_min=T_MIN, solver=AdaptiveSolver(rtol=1e-6, atol=1e-6)
    )
    expected = jax.jit(lambda keys, x: adaptive(keys, score, sde, x))(keys(key, 20), x)
    assert found.converged.all()
    np.testing.assert_array_equal(found.nfe, np.full(20, 201))
    np.testing.assert_array_equal(found.probe_stderr, np.zeros(20))
    np.testing.assert_allclose(found.nats, expected.nats, atol=5e-3)


@pytest.mark.slow("test_the_integral_is_of_parabolas_through_three_values")
def test_errors_fall_with_the_third_power_of_the_step(key):
    """To the closed form, whose prior is not quite the process' own: that is common to all."""
    with jax.enable_x64(True):
        sde, mixture = SDES["vp"], plane_mixture()
        x, score = noised(mixture, sde, key, 10), MixtureScore(mixture, sde)
        x = x.astype(jnp.float64)
        nats = [
            np.asarray(solved(even_times(sde, T_MIN, n), score, sde, x, key, ExactTrace()).nats)
            for n in (50, 100, 200, 800)
        ]
        exact = np.asarray(jax.jit(mixture.log_density, static_argnums=0)(sde, x, T_MIN))
    errors = [np.sqrt(((some - nats[-1]) ** 2).mean()) for some in nats[:-1]]
    assert np.all(np.log2(np.divide(errors[:-1], errors[1:])) > 2.3), errors
    np.testing.assert_allclose(nats[-1], exact, atol=5e-3)


@pytest.mark.slow(
    "tests/likelihood/test_adaptive_likelihood.py::test_hutchinson_is_unbiased_and_its_error_is_known"
)
def test_probes_are_those_of_the_adaptive_solve(key):
    sde, mixture = SDES["vp"], plane_mixture()
    x, score = noised(mixture, sde, key, 5), MixtureScore(mixture, sde)
    found = solved(even_times(sde, T_MIN, 200), score, sde, x, key, Hutchinson(probes=3))
    adaptive = Likelihood(divergence=Hutchinson(probes=3), t_min=T_MIN)
    expected = jax.jit(lambda keys, x: adaptive(keys, score, sde, x))(keys(key, 5), x)
    np.testing.assert_allclose(found.nats, expected.nats, atol=1e-2)
    np.testing.assert_allclose(found.probe_stderr, expected.probe_stderr, rtol=0.05)


def test_nfe_is_the_number_of_calls(key):
    calls, sde = [], SDES["vp"]

    def score(x, t):
        jax.debug.callback(lambda: calls.append(None))
        return plane_mixture().score(sde, x, t)

    result = solved(even_times(sde, T_MIN, 12), score, sde, jnp.ones((1, 2)), key, Hutchinson())
    jax.block_until_ready(result.nats)
    jax.effects_barrier()
    np.testing.assert_array_equal(result.nfe, [len(calls)])


def test_a_density_that_is_not_finite_is_reported_for_its_example_only(key):
    sde = SDES["vp"]

    def score(x, t):
        return jnp.where(x > 100, jnp.nan, plane_mixture().score(sde, x, t))

    x = jnp.asarray([[0.5, 0.1], [1000.0, 0.0], [0.7, 0.2]])
    result = solved(even_times(sde, T_MIN, 50), score, sde, x, key, Hutchinson())
    np.testing.assert_array_equal(result.converged, [True, False, True])


def test_times_are_placed_where_the_integrand_bends(key):
    """A step up at l = 1, of width .2: half of the steps lie where it is."""
    sde = SDES["vp"]
    even = even_times(sde, T_MIN, 96)
    levels = np.log(np.asarray(sde.noise_to_signal(jnp.asarray(even))))
    np.testing.assert_allclose(np.diff(levels, 2), 0, atol=1e-3)
    integrand = np.stack([1 / (1 + np.exp(-(levels - 1) / 0.2))] * 3)
    times = fitted_times(sde, even, integrand, 20)
    assert len(times) == 21 and times[0] == T_MIN and times[-1] == 1
    near = np.abs(np.log(np.asarray(sde.noise_to_signal(jnp.asarray(times)))) - 1) < 1
    assert 8 <= near.sum() <= 16, "a fifth of the range"


@pytest.mark.slow("test_times_are_placed_where_the_integrand_bends")
def test_fitted_times_need_fewer_steps(key):
    """Half of the dimensions hardly vary, as the border of digits, and the others as far as pixels:
    the integrand bends twice, and is straight between."""
    sde, variances = SDES["vp"], jnp.where(jnp.arange(16) < 8, 1e-3, 10.0)
    mixture = GaussianMixture(jnp.ones(1), jnp.zeros((1, 16)), variances[None])
    x, score = noised(mixture, sde, key, 40), MixtureScore(mixture, sde)
    even = even_times(sde, T_MIN, 96)
    pilot = MultistepLikelihood(times=even, divergence=ExactTrace())
    bends = jax.jit(lambda x: pilot.integrand(keys(key, 8), score, sde, x))(x[:8])
    assert bends.shape == (8, 97)
    exact = solved(even_times(sde, T_MIN, 800), score, sde, x[8:], key, ExactTrace()).nats
    errors = [
        np.sqrt(((solved(times, score, sde, x[8:], key, ExactTrace()).nats - exact) ** 2).mean())
        for times in (even_times(sde, T_MIN, 24), fitted_times(sde, even, bends, 24))
    ]
    assert errors[1] < errors[0] / 2


class Network(nn.Module):
    """A convolution, of the default precision."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        h = nn.silu(nn.Conv(4, (3, 3))(x) + nn.Dense(4)(time[:, None])[:, None, None])
        return nn.Conv(x.shape[-1], (3, 3))(h)


def test_every_product_runs_at_the_highest_precision(key):
    model = ScoreModel(network=Network(), sde=SDES["vp"])
    score = NetworkScore(jax.eval_shape(lambda: model.init(key, (4, 4, 1))), model)
    likelihood = MultistepLikelihood(times=even_times(model.sde, T_MIN, 8))
    run = jax.jit(lambda score, keys, x: likelihood(keys, score, model.sde, x))
    lines = run.lower(score, keys(key, 2), jnp.zeros((2, 4, 4, 1))).as_text().splitlines()
    products = [line for line in lines if "dot_general" in line or "convolution(" in line]
    assert products and [line for line in products if "HIGHEST" not in line] == []


@pytest.mark.parametrize(
    "times", [(0.1, 1.0), (0.0, 0.5, 1.0), (0.1, 0.5, 0.9), (0.1, 0.6, 0.5, 1.0)]
)
def test_wrong_times_are_refused(times):
    with pytest.raises(ValueError, match=r"^`times` must "):
        MultistepLikelihood(times=times)


def test_a_start_without_noise_is_refused():
    with pytest.raises(ValueError, match=r"^`t_min` must be below 1, where .* has noise: got"):
        even_times(SDES["vp"], 0.0, 10)
