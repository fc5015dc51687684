"""What compiles once: new weights and equal specs cost no second trace."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES, keys

from sde_jax.likelihood import Likelihood
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.sampling import (
    AdaptiveReversal,
    EulerMaruyama,
    ExponentialAdams,
    Langevin,
    LogSNRGrid,
    PredictorCorrector,
    ProbabilityFlow,
    UniformGrid,
)
from sde_jax.score import NetworkScore, ScoreModel
from sde_jax.sde import VP

SHAPE = (3,)


class Dense(nn.Module):
    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        return nn.Dense(x.shape[-1])(nn.tanh(nn.Dense(8)(x) + nn.Dense(8)(time[:, None])))


def model():
    return ScoreModel(network=Dense(), sde=VP())


def chain():
    return PredictorCorrector(
        grid=UniformGrid(steps=5), predictor=EulerMaruyama(), corrector=Langevin()
    )


def sample_by_chain(score, keys):
    return chain()(keys, score, SDES["vp"], SHAPE).x


def sample_by_flow(score, keys):
    return ProbabilityFlow()(keys, score, SDES["vp"], SHAPE).x


def likelihood(score, keys):
    return Likelihood()(keys, score, SDES["vp"], jnp.ones((keys.size, *SHAPE))).nats


@pytest.mark.parametrize("function", [sample_by_chain, sample_by_flow, likelihood])
def test_new_parameters_cost_no_new_trace(function, key):
    traces = []

    @jax.jit
    def run(score, keys):
        traces.append(None)
        return function(score, keys)

    params = model().init(key, SHAPE)
    first = run(NetworkScore(params, model()), keys(key, 2))
    doubled = jax.tree.map(lambda leaf: 2 * leaf, params)
    second = run(NetworkScore(doubled, model()), keys(key, 2))
    assert len(traces) == 1
    assert not np.allclose(first, second)


def test_equal_specs_are_one_static_argument(key):
    traces = []

    def run(sampler, model, params, keys):
        traces.append(None)
        return sampler(keys, NetworkScore(params, model), model.sde, SHAPE).x

    compiled = jax.jit(run, static_argnums=(0, 1))
    params = model().init(key, SHAPE)
    for _ in range(2):
        compiled(chain(), model(), params, keys(key, 2))
    assert len(traces) == 1
    compiled(chain(), ScoreModel(network=Dense(), sde=VP(beta_max=10.0)), params, keys(key, 2))
    assert len(traces) == 2


SPECS = [
    chain,
    lambda: PredictorCorrector(grid=UniformGrid(steps=5), predictor=None, corrector=Langevin()),
    ProbabilityFlow,
    AdaptiveReversal,
    lambda: ExponentialAdams(grid=LogSNRGrid(steps=5)),
    Likelihood,
    lambda: DenoisingScoreMatching(model=model()),
    model,
]


@pytest.mark.parametrize("make", SPECS)
def test_specs_are_values_and_keyword_only(make):
    spec = make()
    assert spec == make()
    assert hash(spec) == hash(make())
    field = next(iter(spec.__dataclass_fields__))
    with pytest.raises(AttributeError):
        setattr(spec, field, None)
    with pytest.raises(TypeError):
        type(spec)(*vars(spec).values())


def test_the_number_of_steps_does_not_grow_the_program(key):
    score = NetworkScore(model().init(key, SHAPE), model())

    def size(steps):
        sampler = PredictorCorrector(grid=UniformGrid(steps=steps), predictor=EulerMaruyama())
        program = jax.jit(lambda score, keys: sampler(keys, score, SDES["vp"], SHAPE).x)
        return len(program.lower(score, keys(key, 2)).as_text().splitlines())

    assert size(500) == size(10)
