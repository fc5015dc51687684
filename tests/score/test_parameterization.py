"""Parameterizations: what the network predicts, read back as a score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES, each_sde_slowly

from sde_jax.arrays import expand_like
from sde_jax.score import (
    DataPrediction,
    DenoiserScore,
    EDMPrediction,
    FlowPrediction,
    NoisePrediction,
    ScorePrediction,
    VelocityPrediction,
    score_of_denoised,
)
from sde_jax.sde import probability_flow_drift

ALL = [
    NoisePrediction(),
    DataPrediction(),
    VelocityPrediction(),
    FlowPrediction(),
    ScorePrediction(),
    EDMPrediction(data_deviation=0.4),
]
each_parameterization = pytest.mark.parametrize(
    "parameterization", ALL, ids=lambda p: type(p).__name__
)
TIMES = [1e-3, 0.1, 0.5, 1.0]


def noised(sde, dtype=np.float32):
    rng = np.random.default_rng(3)
    x0, noise = (jnp.asarray(rng.normal(size=(4, 3)).astype(dtype)) for _ in range(2))
    t = jnp.asarray(TIMES, dtype)
    alpha, sigma = expand_like(sde.alpha(t), x0), expand_like(sde.sigma(t), x0)
    return x0, noise, alpha * x0 + sigma * noise, alpha, sigma, t


@each_sde_slowly
@each_parameterization
def test_the_target_is_read_as_the_score_of_its_noise(sde, parameterization):
    with jax.enable_x64(True):
        x0, noise, x, alpha, sigma, _ = noised(sde, np.float64)
        score = parameterization.to_score(
            parameterization.target(x0, noise, alpha, sigma), x, alpha, sigma
        )
        np.testing.assert_allclose(score, -noise / sigma, rtol=1e-9, atol=1e-9)


@each_sde_slowly
@each_parameterization
def test_reading_is_affine_in_the_output(sde, parameterization):
    with jax.enable_x64(True):
        x0, noise, x, alpha, sigma, _ = noised(sde, np.float64)
        zero, one, half = (
            parameterization.to_score(output, x, alpha, sigma)
            for output in (jnp.zeros_like(x), noise, 0.5 * noise)
        )
        np.testing.assert_allclose(half, 0.5 * (zero + one), rtol=1e-9, atol=1e-9)


def test_velocity_is_salimans_and_hos_for_a_unit_variance():
    """``v = alpha noise - sigma x0``, and ``x0 = alpha x - sigma v`` (arXiv:2202.00512, app. D)."""
    angle = jnp.asarray([[0.3], [1.2]])
    alpha, sigma = jnp.cos(angle), jnp.sin(angle)
    x0, noise = jnp.asarray([[1.0], [-2.0]]), jnp.asarray([[0.5], [0.7]])
    velocity = VelocityPrediction().target(x0, noise, alpha, sigma)
    np.testing.assert_allclose(velocity, alpha * noise - sigma * x0, rtol=1e-5)
    np.testing.assert_allclose(
        alpha * (alpha * x0 + sigma * noise) - sigma * velocity, x0, rtol=1e-5
    )


def test_flow_prediction_is_the_slope_of_the_flow_along_straight_lines():
    """``dx/dt = tau u``: the process runs to tau = 152 / 153 of the way from data to noise."""
    with jax.enable_x64(True):
        sde = SDES["flow-matching"]
        x0, noise, x, alpha, sigma, t = noised(sde, np.float64)
        velocity = FlowPrediction().target(x0, noise, alpha, sigma)
        np.testing.assert_allclose(x, x0 + 152 / 153 * t[:, None] * velocity, rtol=1e-9)
        _, slope = jax.jvp(
            lambda t: expand_like(sde.alpha(t), x) * x0 + expand_like(sde.sigma(t), x) * noise,
            (t,),
            (jnp.ones_like(t),),
        )
        np.testing.assert_allclose(slope, 152 / 153 * velocity, rtol=1e-9)
        score = FlowPrediction().to_score(velocity, x, alpha, sigma)
        drift = probability_flow_drift(sde, x, t, score)
        np.testing.assert_allclose(drift, slope, rtol=1e-9)


@each_sde_slowly
def test_edm_is_karras_preconditioning(sde):
    """``D = c_skip y + c_out F`` with ``y = x / alpha``, ``r = sigma / alpha`` (their table 1)."""
    with jax.enable_x64(True):
        _, output, x, alpha, sigma, t = noised(sde, np.float64)
        d, y, r = 0.4, np.asarray(x / alpha), np.asarray(sigma / alpha)
        c_skip, c_out = d**2 / (r**2 + d**2), r * d / np.sqrt(r**2 + d**2)
        score = EDMPrediction(data_deviation=d).to_score(output, x, alpha, sigma)
        expected = score_of_denoised(sde, c_skip * y + c_out * output, x, t)
        np.testing.assert_allclose(score, expected, rtol=1e-6)


@pytest.mark.parametrize("deviation", [0.0, -0.5, float("nan")])
def test_edm_needs_a_positive_deviation(deviation):
    with pytest.raises(ValueError, match=r"^`data_deviation` must be positive: got data_dev"):
        EDMPrediction(data_deviation=deviation)


@each_sde_slowly
def test_a_perfect_denoiser_gives_the_score_of_its_noise(sde):
    with jax.enable_x64(True):
        x0, noise, x, _, sigma, t = noised(sde, np.float64)
        np.testing.assert_allclose(score_of_denoised(sde, x0, x, t), -noise / sigma, rtol=1e-7)
        adapted = DenoiserScore(jax.tree_util.Partial(lambda y, level: x0), sde)
        np.testing.assert_allclose(adapted(x, t), -noise / sigma, rtol=1e-7)


@each_sde_slowly
def test_a_denoisers_score_passes_through_jit_as_a_pytree(sde):
    traces = []

    def evaluate(score, x):
        traces.append(None)
        return score(x, jnp.asarray(0.5))

    compiled, x = jax.jit(evaluate), jnp.ones((2, 3))
    for value in (0.0, 1.0):
        denoiser = jax.tree_util.Partial(_constant, jnp.full((3,), value))
        expected = (sde.alpha(jnp.asarray(0.5)) * value - x) / sde.sigma(jnp.asarray(0.5)) ** 2
        np.testing.assert_allclose(compiled(DenoiserScore(denoiser, sde), x), expected, rtol=1e-5)
    assert len(traces) == 1


def _constant(value, y, level):
    return jnp.broadcast_to(value[None], y.shape)
