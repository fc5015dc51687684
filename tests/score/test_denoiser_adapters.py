"""Denoisers that know no SDE, read as scores: exact ones give the exact score, and its samples."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    DEVIATION,
    MEAN,
    SDES,
    each_sde_slowly,
    gaussian,
    keys,
    line_mixture,
    oracle_of,
    plane_mixture,
    plane_mixture_arrays,
)
from oracles import Mixture

from sde_jax.sampling import Heun, KarrasGrid, Langevin, PredictorCorrector
from sde_jax.score import BlindDenoiserScore, DenoiserScore
from sde_jax.sde import VE

MIXTURES = {"gaussian": lambda: gaussian(2), "line": line_mixture, "plane": plane_mixture}
Partial = jax.tree_util.Partial


def exact_denoise(mixture, y, level):
    """The mixture's posterior mean where noise of deviation ``level`` is added."""
    return mixture.denoised(VE(), y, VE().time_of(level))


def plane_oracle():
    return Mixture(*plane_mixture_arrays())


def told(mixture, sde):
    return DenoiserScore(Partial(exact_denoise, mixture), sde)


@each_sde_slowly
@pytest.mark.parametrize("name", MIXTURES)
def test_a_told_denoiser_gives_the_exact_score(sde, name):
    """At a time for each example; in float64, to rounding."""
    with jax.enable_x64(True):
        mixture, t = MIXTURES[name](), np.array([0.02, 0.4, 0.95])
        points = np.random.default_rng(0).normal(size=(3, mixture.means.shape[1]))
        alpha, sigma = jax.jit(lambda t: (sde.alpha(t), sde.sigma(t)))(t)
        x = (np.asarray(alpha) + 1.5 * np.asarray(sigma))[:, None] * points
        found, expected = jax.jit(
            lambda mixture, x, t: (told(mixture, sde)(x, t), mixture.score(sde, x, t))
        )(mixture, x, t)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


@each_sde_slowly
def test_the_level_is_one_number_for_each_example_in_units_of_the_data(sde):
    """Of images at one time, in float32: the Wiener filter of the lopsided Gaussian."""

    def denoise(y, level):
        assert level.shape == (4,)
        gain = DEVIATION**2 / (DEVIATION**2 + level**2)
        return MEAN + gain[:, None, None] * (y - MEAN)

    x, t = jax.random.normal(jax.random.key(0), (4, 3, 2)), jnp.asarray(0.5)
    score = DenoiserScore(denoise, sde)(x, t)
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    expected = -(x - alpha * MEAN) / ((alpha * DEVIATION) ** 2 + sigma**2)
    np.testing.assert_allclose(score, expected, rtol=1e-4, atol=1e-6)


@each_sde_slowly
def test_a_point_is_denoised_blindly(sde):
    """The one distribution whose denoiser is the same at all levels."""
    x, t = jnp.asarray([[0.3, -1.0], [2.0, 0.1]]), jnp.asarray([0.3, 0.8])
    point = jnp.asarray([MEAN, -0.2])
    score = BlindDenoiserScore(lambda y: jnp.broadcast_to(point[None], y.shape), sde)(x, t)
    alpha, variance = sde.alpha(t)[:, None], sde.sigma(t)[:, None] ** 2
    np.testing.assert_allclose(score, (alpha * point[None] - x) / variance, rtol=1e-5)


def test_a_blind_denoiser_is_shown_the_data_and_nothing_else():
    sde, t = SDES["vp"], jnp.asarray([0.3, 0.8])
    x = jnp.asarray([[0.3, -1.0], [2.0, 0.1]])
    blind = BlindDenoiserScore(jnp.tanh, sde)(x, t)
    untold = DenoiserScore(lambda y, level: jnp.tanh(y), sde)(x, t)
    np.testing.assert_array_equal(blind, untold)


@pytest.mark.parametrize(
    ("name", "mixture", "data"),
    [
        pytest.param("ve", line_mixture, lambda: oracle_of(line_mixture()), marks=pytest.mark.slow),
        ("vp", plane_mixture, plane_oracle),
        pytest.param("subvp", plane_mixture, plane_oracle, marks=pytest.mark.slow),
    ],
)
def test_samples_of_a_told_denoiser_have_the_datas_mean_and_covariance(name, mixture, data, key):
    """Within 5 standard errors of 2000 samples and .005, more than the error of 40 Heun steps."""
    sampler, sde = PredictorCorrector(grid=KarrasGrid(steps=40), predictor=Heun()), SDES[name]
    shape = mixture().means.shape[1:]
    draw = jax.jit(lambda score, keys: sampler(keys, score, sde, shape).x)
    x = np.asarray(draw(told(mixture(), sde), keys(key, 2000)), np.float64)
    data = data()
    mean = data.moments()[0]
    centred = x - mean
    products = centred[:, :, None] * centred[:, None, :]
    offsets = data.means - mean
    covariance = np.einsum("k,kij->ij", data.weights, data.covariances)
    covariance += np.einsum("k,ki,kj->ij", data.weights, offsets, offsets)
    for found, expected in ((x, mean), (products, covariance)):
        difference = np.abs(found.mean(0) - expected)
        assert (difference < 5 * found.std(0) / np.sqrt(len(x)) + 0.005).all(), difference


@pytest.mark.parametrize("level", [0.1, 0.4])
def test_the_residual_without_the_scale_of_the_noise_is_no_score(level):
    """Langevin dynamics at one level, on N(.7, .4^2): where it settles, from its own affine map.

    Whoever takes the residual ``f(y) - y`` for the score gets the variance ``1 + v / level^2``, 17
    at the level .1, where it should be ``v + level^2``, .17: divided by ``level^2`` it is. Both up
    to the factor ``1 / (1 - e / (2 V))`` of the finite step e, with the variance V in its units.
    """
    with jax.enable_x64(True):
        sde = VE()
        t = sde.time_of(jnp.asarray(level))
        repaired = told(gaussian(), sde)

        def residual(x, t):
            return exact_denoise(gaussian(), x, sde.sigma(t)) - x

        def settled(score):
            corrector = Langevin(snr=0.05)

            def move(x, noise):
                states = (jnp.full((1, 1), noise), score, sde, jnp.full((1, 1), x), t, t)
                return corrector(*states).x[0, 0]

            moved = [float(jax.jit(move)(*given)) for given in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))]
            shift, scale, spread = moved[0], moved[1] - moved[0], moved[2] - moved[0]
            return shift / (1 - scale), spread**2 / (1 - scale**2)

        right = DEVIATION**2 + level**2
        naive, repaired = settled(residual), settled(repaired)
    np.testing.assert_allclose([naive[0], repaired[0]], MEAN, rtol=1e-6)
    np.testing.assert_allclose(repaired[1], right, rtol=0.02)
    np.testing.assert_allclose(naive[1], right / level**2, rtol=0.02)
    assert naive[1] > 6 * repaired[1]


def test_a_denoisers_arrays_travel_through_jit():
    traces, sde, x = [], SDES["vp"], jnp.ones((2, 2))

    def evaluate(score):
        traces.append(None)
        return score(x, jnp.asarray(0.5))

    compiled = jax.jit(evaluate)
    moved = dataclasses.replace(plane_mixture(), means=plane_mixture().means + 0.5)
    for mixture in (plane_mixture(), moved):
        expected = mixture.score(sde, x, jnp.asarray(0.5))
        np.testing.assert_allclose(compiled(told(mixture, sde)), expected, rtol=1e-4)
    assert len(traces) == 1


def test_derivatives_of_the_score_reach_the_denoisers_parameters():
    def loss(gain):
        score = BlindDenoiserScore(Partial(lambda gain, y: gain * y, gain), SDES["ou"])
        return score(jnp.ones((1, 1)), jnp.asarray(0.3))[0, 0]

    expected = 1 / SDES["ou"].sigma(jnp.asarray(0.3)) ** 2
    np.testing.assert_allclose(jax.grad(loss)(jnp.asarray(0.5)), expected, rtol=1e-5)
