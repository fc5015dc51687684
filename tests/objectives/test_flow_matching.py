"""The loss of flow matching, against its own formula in numpy, for every process."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import each_sde_slowly

from sde_jax.arrays import expand_like
from sde_jax.objectives import DenoisingScoreMatching, FlowWeighting
from sde_jax.score import FlowPrediction, NoisePrediction, ScaledTime, ScoreModel


class Wave(nn.Module):
    """A function of its input and time."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        return wave(jnp, x, expand_like(time, x))


def wave(module, x, time):
    return module.sin(3 * x + time) + 0.2 * x * time


def implied_velocity(parameterization, output, x, alpha, sigma):
    """``noise - x0`` as the network's output and x imply it."""
    if isinstance(parameterization, FlowPrediction):
        return output
    return output - (x - sigma * output) / alpha


@each_sde_slowly
@pytest.mark.parametrize("parameterization", [FlowPrediction(), NoisePrediction()])
def test_losses_are_squared_errors_of_the_velocity(sde, parameterization):
    """``|u(x, t) - (noise - x0)|^2``, with t as it is (Lipman et al. 2023, eq. 14)."""
    rng = np.random.default_rng(0)
    x0, noise = rng.normal(size=(2, 7, 5))
    t = np.linspace(0.01, 0.99, 7)
    model = ScoreModel(
        network=Wave(),
        sde=sde,
        parameterization=parameterization,
        time_condition=ScaledTime(scale=1.0),
    )
    losses_at = jax.jit(DenoisingScoreMatching(model=model, weighting=FlowWeighting()).losses_at)
    with jax.enable_x64(True):
        alpha, sigma = (np.asarray(of(jnp.asarray(t)))[:, None] for of in (sde.alpha, sde.sigma))
        losses = losses_at({}, x0, t, noise)
    x = alpha * x0 + sigma * noise
    output = wave(np, x, t[:, None])
    error = implied_velocity(parameterization, output, x, alpha, sigma) - (noise - x0)
    np.testing.assert_allclose(losses, (error**2).mean(axis=1), rtol=1e-7)
    single = losses_at({}, *(np.asarray(a, np.float32) for a in (x0, t, noise)))
    np.testing.assert_allclose(single, losses, rtol=2e-3)
