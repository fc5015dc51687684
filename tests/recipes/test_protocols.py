"""Every protocol on grey levels of known probability, under the exact score, in bits."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES, keys

from sde_jax.data import ImageScaling, PointScaling
from sde_jax.likelihood import bits_per_dimension
from sde_jax.recipes import LikelihoodSettings
from sde_jax.recipes.protocols import Measurement
from sde_jax.score import GaussianMixture, MixtureScore

VP, SCALING, COPIES = SDES["vp"], ImageScaling(levels=4), 100
PROBABILITIES = np.array([0.4, 0.3, 0.2, 0.1])
EXACT = -np.log2(PROBABILITIES)
USUAL = Measurement(settings=LikelihoodSettings(), sde=VP, scaling=SCALING, dequantized=False)


def measurement(**settings):
    return dataclasses.replace(USUAL, settings=LikelihoodSettings(**settings))


def score_of(places, deviation=0.0):
    """The exact score of levels at ``places``, one dimension, with noise of that deviation."""
    points = jnp.asarray(places, jnp.float32)[:, None]
    weights = jnp.asarray(PROBABILITIES, jnp.float32)
    return MixtureScore(GaussianMixture(weights, points, jnp.full_like(points, deviation**2)), VP)


def bits(measurement, score, key):
    """Mean and standard error of the bits of each level, from repetitions."""
    levels = jnp.repeat(jnp.arange(4), COPIES)[:, None]
    x = SCALING.dequantize(levels, jax.random.uniform(key, levels.shape))
    found = jax.jit(measurement.density(lambda params: score))(None, keys(key, len(x)), x)
    slope = SCALING.log_det_per_dimension
    of_levels = np.float64(bits_per_dimension(found.nats, 1, slope)).reshape(4, COPIES)
    return of_levels.mean(axis=1), of_levels.std(axis=1, ddof=1) / math.sqrt(COPIES)


@pytest.mark.parametrize(
    ("settings", "loss"),
    [
        pytest.param({"protocol": "truncated", "samples": 20, "tolerance": 1e-3}, 0.02, id="flow"),
        pytest.param({"protocol": "score-bound", "samples": 100, "t_min": 0.01}, 0.02, id="score"),
        pytest.param({"protocol": "ddpm-bound"}, 0.1, id="ddpm"),
    ],
)
def test_a_protocol_of_levels_bounds_their_bits(settings, loss, key):
    """From above but for the error of the solver, and by little for the exact score of the levels
    alone."""
    score, measured = score_of(SCALING.place(jnp.arange(4))), measurement(**settings)
    mean, stderr = bits(measured, score, key)
    assert np.all(mean > EXACT - 5 * stderr - 5e-3)
    assert (PROBABILITIES * (mean - EXACT)).sum() < loss
    assert measured.measures == "bound on the probability of grey levels"


@pytest.mark.slow("test_a_protocol_of_levels_bounds_their_bits")
def test_more_draws_of_uniform_noise_tighten_the_bound(key):
    """From the density of dequantized data to the probability of levels."""
    score, gaps = score_of(SCALING.place(jnp.arange(4)) * 0.75, deviation=0.15), []
    for samples in (1, 20):
        measured = measurement(samples=samples, tolerance=1e-3)
        mean, _ = bits(measured, score, key)
        gaps.append((PROBABILITIES * (mean - EXACT)).sum())
    assert gaps[0] > gaps[1] + 0.02 and gaps[1] > -0.01
    assert measured.measures == "bound on the probability of grey levels"
    assert USUAL.measures == "density of dequantized data"


@pytest.mark.parametrize("dequantized", [True, False])
def test_the_variational_protocol_takes_the_bins_of_the_training(dequantized):
    """Even ones from the usual time on, or those around undequantized levels from truncated's."""
    variational = dataclasses.replace(
        USUAL, settings=LikelihoodSettings(protocol="variational"), dequantized=dequantized
    )
    like = measurement(protocol="uniform" if dequantized else "truncated")
    assert variational.half_width == like.half_width == (0.25 if dequantized else 1 / 3)
    assert variational.start == like.start
    x = SCALING.dequantize(jnp.arange(4), jnp.full(4, 0.9))
    np.testing.assert_array_equal(variational.middles(x), like.middles(x))
    assert variational.measures == "bound on the probability of grey levels"
    with pytest.raises(ValueError, match="needs a trained dequantizer"):
        variational.density(lambda params: None)


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"dequantized": True}, {"protocol": "truncated"}, "models of undequantized levels"),
        ({"scaling": PointScaling()}, {"protocol": "truncated"}, "continuous data have"),
        ({"scaling": PointScaling()}, {"protocol": "variational"}, "continuous data have"),
        ({"scaling": PointScaling()}, {"samples": 2}, "continuous data have"),
        ({"sde": SDES["ve"]}, {"protocol": "ddpm-bound"}, "preserves variance: got VE"),
        (
            {"scaling": ImageScaling(levels=4, centered=False)},
            {"protocol": "score-bound"},
            "needs grey levels in",
        ),
    ],
)
def test_protocols_that_do_not_fit_are_refused(changes, settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(USUAL, settings=LikelihoodSettings(**settings), **changes)


def test_the_truncated_protocol_starts_where_noise_fills_a_third_of_a_level():
    measured = measurement(protocol="truncated")
    ratio = float(VP.noise_to_signal(jnp.asarray(measured.start)))
    assert ratio == pytest.approx(1 / 12, rel=1e-4)
    assert measurement(protocol="truncated", t_min=0.1).start == 0.1
    assert measurement(protocol="score-bound").start == 1e-5


@pytest.mark.parametrize("samples", [0, -1])
def test_samples_must_be_positive(samples):
    with pytest.raises(ValueError, match="`samples` must be at least 1"):
        LikelihoodSettings(samples=samples)
