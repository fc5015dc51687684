"""The same samples on one device and on eight, by jit, shard_map and pmap."""

import functools

import jax
import numpy as np
import pytest
from cases import SDES, keys, plane_mixture
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sde_jax.likelihood import Likelihood
from sde_jax.sampling import (
    EulerMaruyama,
    Langevin,
    PredictorCorrector,
    ProbabilityFlow,
    UniformGrid,
)
from sde_jax.score import MixtureScore

SDE = SDES["vp"]
CHAIN = PredictorCorrector(
    grid=UniformGrid(steps=20), predictor=EulerMaruyama(), corrector=Langevin(), frames=2
)
SLOW_FLOW = pytest.param(ProbabilityFlow(), marks=pytest.mark.slow, id="ode")


@pytest.fixture(scope="module")
def mesh():
    assert jax.device_count() == 8
    return Mesh(np.array(jax.devices()), ("data",))


def draw(sampler, keys):
    return sampler(keys, MixtureScore(plane_mixture(), SDE), SDE, (2,))


def spread(function, mesh, arguments):
    """`jax.shard_map` over examples; diffrax does not mark what varies, hence no check of it."""
    share = PartitionSpec("data")
    return jax.shard_map(
        function, mesh=mesh, in_specs=(share,) * arguments, out_specs=share, check_vma=False
    )


@functools.cache
def on_one_device(sampler):
    return jax.jit(lambda keys: draw(sampler, keys))(keys(jax.random.key(0), 16))


def check(result, expected):
    """Equal to rounding; an adaptive step that rounding turns changes few samples, by little."""
    for name in ("x", "trajectory"):
        if getattr(expected, name) is not None:
            difference = np.abs(getattr(result, name) - getattr(expected, name))
            assert np.median(difference) < 5e-6
            assert difference.max() < 3e-3
    assert result.converged.all()


def test_jit_over_sharded_keys(mesh):
    sharded = jax.device_put(
        keys(jax.random.key(0), 16), NamedSharding(mesh, PartitionSpec("data"))
    )
    result = jax.jit(lambda keys: draw(CHAIN, keys))(sharded)
    assert len(result.x.sharding.device_set) == 8
    check(result, on_one_device(CHAIN))


@pytest.mark.parametrize("sampler", [CHAIN, SLOW_FLOW], ids=["pc", "ode"])
def test_shard_map(sampler, mesh):
    """Each device runs on its own: an adaptive solve has no collective in its loop."""
    run = spread(lambda keys: draw(sampler, keys), mesh, 1)
    check(jax.jit(run)(keys(jax.random.key(0), 16)), on_one_device(sampler))


@pytest.mark.slow("test_shard_map")
@pytest.mark.parametrize("sampler", [CHAIN, ProbabilityFlow()], ids=["pc", "ode"])
def test_pmap(sampler):
    run = jax.pmap(lambda keys: draw(sampler, keys))
    result = run(keys(jax.random.key(0), 16).reshape(8, 2))
    flat = jax.tree.map(lambda leaf: leaf.reshape(16, *leaf.shape[2:]), result)
    check(flat, on_one_device(sampler))


@pytest.mark.slow("test_shard_map")
def test_likelihood_by_shard_map(mesh):
    score = MixtureScore(plane_mixture(), SDE)

    def run(keys, x):
        return Likelihood(t_min=1e-3)(keys, score, SDE, x)

    all_keys, x = keys(jax.random.key(0), 8), plane_mixture().sample(jax.random.key(1), 8)
    result = jax.jit(spread(run, mesh, 2))(all_keys, x)
    np.testing.assert_allclose(result.nats, jax.jit(run)(all_keys, x).nats, atol=1e-4)
