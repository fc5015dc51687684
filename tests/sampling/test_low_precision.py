"""The network of a sampler computes in bfloat16, and nothing else does."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.sampling import DDIM, ExponentialAdams, LogSNRGrid, LowPrecision, PredictorCorrector
from sde_jax.score import DenoiserScore, FunctionNetwork, NetworkScore, ScoreModel
from sde_jax.sde import VP

SDE, SHAPE = VP(), (3,)
KEYS = jax.random.split(jax.random.key(3), 64)
GRID = LogSNRGrid(steps=6)
SAMPLERS = [
    ExponentialAdams(grid=GRID),
    PredictorCorrector(grid=GRID, predictor=DDIM(eta=0.5), frames=2),
]


class Halved(nn.Module):
    """Half of x, rounded to a type."""

    dtype: object = jnp.float32

    def __call__(self, x, time, condition=None, *, deterministic=True):
        return (0.5 * x.astype(self.dtype)).astype(jnp.float32)


def score_of(network):
    return NetworkScore({}, ScoreModel(network=network, sde=SDE))


def rounded(x, t):
    """The score of noise x / 2, in which x is rounded to 8 bits by hand."""
    mantissa, exponent = jnp.frexp(x)
    x = jnp.ldexp(jnp.round(mantissa * 2**8) / 2**8, exponent)
    return -0.5 * x / SDE.sigma(t)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_the_network_alone_is_rounded(sampler):
    low = jax.jit(lambda keys: LowPrecision(sampler=sampler)(keys, score_of(Halved()), SDE, SHAPE))
    found = low(KEYS)
    by_hand = jax.jit(lambda keys: sampler(keys, rounded, SDE, SHAPE))(KEYS)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), found, by_hand)
    assert found.x.dtype == jnp.float32
    exact = jax.jit(lambda keys: sampler(keys, score_of(Halved()), SDE, SHAPE))(KEYS)
    assert 1e-4 < np.abs(found.x - exact.x).max() < 0.02 * np.abs(exact.x).max()


def test_a_type_of_float32_changes_nothing():
    score = score_of(Halved())
    assert score.computing_in("float32") == score
    assert score.computing_in("bfloat16").model.network.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("score", "complaint"),
    [
        (score_of(FunctionNetwork(lambda params, x, t: x)), "a FunctionNetwork, which has no `dt"),
        (DenoiserScore(jax.tree_util.Partial(lambda y, level: y), SDE), "a DenoiserScore: got bf"),
    ],
    ids=["function", "denoiser"],
)
def test_what_cannot_be_rounded_is_refused(score, complaint):
    sampler = LowPrecision(sampler=SAMPLERS[0])
    with pytest.raises(ValueError, match=f"`compute_dtype` must be float32 for {complaint}"):
        sampler(KEYS, score, SDE, SHAPE)
