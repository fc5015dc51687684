"""Every program lowers for TPUs and GPUs, which no test machine has: no host callbacks inside."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest
from cases import SDES, keys

from sde_jax.likelihood import Hutchinson, Likelihood
from sde_jax.objectives import DenoisingScoreMatching, LikelihoodTimes, LikelihoodWeighting
from sde_jax.randomness import example_seeds
from sde_jax.sampling import (
    AdaptiveReversal,
    Churn,
    ExponentialAdams,
    Heun,
    KarrasGrid,
    Langevin,
    LogSNRGrid,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusion,
    UniformGrid,
)
from sde_jax.score import NetworkScore, ScoreModel

SHAPE = (4, 4, 1)


class Convolutions(nn.Module):
    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        h = nn.silu(nn.Conv(4, (3, 3))(x) + nn.Dense(4)(time[:, None])[:, None, None])
        h = nn.Dropout(0.1)(nn.GroupNorm(2)(h), deterministic=deterministic)
        return nn.Conv(x.shape[-1], (3, 3))(h)


MODEL = ScoreModel(network=Convolutions(), sde=SDES["subvp"])


def train_step(params, keys, x):
    objective = DenoisingScoreMatching(
        model=MODEL, times=LikelihoodTimes(), weighting=LikelihoodWeighting()
    )
    optimizer = optax.adam(1e-3)

    def loss(params):
        return objective.losses(params, example_seeds(keys[0], len(x)), x).mean()

    value, gradient = jax.value_and_grad(loss)(params)
    updates, _ = optimizer.update(gradient, optimizer.init(params))
    return value, optax.apply_updates(params, updates)


def predictor_corrector(params, keys, x):
    sampler = PredictorCorrector(
        grid=UniformGrid(steps=10), predictor=ReverseDiffusion(), corrector=Langevin(), frames=3
    )
    return sampler(keys, NetworkScore(params, MODEL), MODEL.sde, SHAPE)


def probability_flow(params, keys, x):
    return ProbabilityFlow()(keys, NetworkScore(params, MODEL), MODEL.sde, SHAPE)


def encode(params, keys, x):
    return ProbabilityFlow().encode(NetworkScore(params, MODEL), MODEL.sde, x)


def trajectory(params, keys, x):
    return ProbabilityFlow(frames=3)(keys, NetworkScore(params, MODEL), MODEL.sde, SHAPE)


def multistep(params, keys, x):
    sampler = ExponentialAdams(grid=LogSNRGrid(steps=20), frames=3)
    return sampler(keys, NetworkScore(params, MODEL), MODEL.sde, SHAPE)


def heun(params, keys, x):
    sampler = PredictorCorrector(
        grid=KarrasGrid(steps=10, last=0.01), predictor=Heun(churn=Churn(growth=0.1))
    )
    return sampler(keys, NetworkScore(params, MODEL), MODEL.sde, SHAPE)


def adaptive_reversal(params, keys, x):
    sampler = AdaptiveReversal(frames=3)
    return sampler(keys, NetworkScore(params, MODEL), MODEL.sde, SHAPE)


def likelihood(params, keys, x):
    spec = Likelihood(divergence=Hutchinson(probes=2))
    return spec(keys, NetworkScore(params, MODEL), MODEL.sde, x)


PROGRAMS = [train_step, predictor_corrector, probability_flow, trajectory, likelihood]
PROGRAMS += [encode, multistep, heun, adaptive_reversal]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_lowers(program, key):
    arguments = MODEL.init(key, SHAPE), keys(key, 2), jnp.zeros((2, *SHAPE))
    exported = jax.export.export(jax.jit(program), platforms=["tpu", "cuda"])(*arguments)
    assert exported.platforms == ("tpu", "cuda")
    assert "callback" not in exported.mlir_module()
