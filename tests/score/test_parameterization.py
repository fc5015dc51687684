"""Parameterizations: what the network predicts, read back as a score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import each_sde

from sde_jax.arrays import expand_like
from sde_jax.score import (
    DataPrediction,
    DenoiserScore,
    NoisePrediction,
    ScorePrediction,
    VelocityPrediction,
    score_of_denoised,
)

ALL = [NoisePrediction(), DataPrediction(), VelocityPrediction(), ScorePrediction()]
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


@each_sde
@each_parameterization
def test_the_target_is_read_as_the_score_of_its_noise(sde, parameterization):
    with jax.enable_x64(True):
        x0, noise, x, alpha, sigma, _ = noised(sde, np.float64)
        score = parameterization.to_score(
            parameterization.target(x0, noise, alpha, sigma), x, alpha, sigma
        )
        np.testing.assert_allclose(score, -noise / sigma, rtol=1e-9, atol=1e-9)


@each_sde
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


@each_sde
def test_a_perfect_denoiser_gives_the_score_of_its_noise(sde):
    with jax.enable_x64(True):
        x0, noise, x, _, sigma, t = noised(sde, np.float64)
        np.testing.assert_allclose(score_of_denoised(sde, x0, x, t), -noise / sigma, rtol=1e-7)
        adapted = DenoiserScore(jax.tree_util.Partial(lambda x, t: x0), sde)
        np.testing.assert_allclose(adapted(x, t), -noise / sigma, rtol=1e-7)


@each_sde
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


def _constant(value, x, t):
    return jnp.broadcast_to(value[None], x.shape)
