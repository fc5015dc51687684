"""Compares the memory of parameters and optimizer on one device, sharded and replicated.

    python -m benchmarks sharding

The bytes of the train state on one of eight devices are counted from shapes and shardings; nothing
is computed. Images are 32x32x3. `--training.shard-parameters` shards a training run.
"""

import dataclasses
import math
from collections.abc import Iterator

import jax
from jax.sharding import AbstractMesh

from benchmarks.ddpmpp import M
from benchmarks.row import BenchmarkOptions, Row, Spread
from sde_jax.arrays import PyTree
from sde_jax.interop import published
from sde_jax.recipes import ScoreExperiment, published_experiment
from sde_jax.training import AXIS, abstract_state

DEVICES = 8
CIFAR10 = ("vp/cifar10_ddpmpp_continuous", "ve/cifar10_ncsnpp_deep_continuous")


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Yields a row for each network."""
    first = published_experiment(published(CIFAR10[0]))
    yield row(M.name, dataclasses.replace(first, network=M.spec))
    for name in CIFAR10:
        yield row(name, published_experiment(published(name)))


def row(name: str, experiment: ScoreExperiment) -> Row:
    """Compares the sharded state with the replicated one.

    Raises:
      AssertionError: if a shard is larger than the state, or all shards together are smaller.
    """
    learner, mesh = experiment.learner(M.shape), AbstractMesh((DEVICES,), (AXIS,))
    whole, shard = (
        megabytes_per_device(abstract_state(learner, mesh, sharded=sharded))
        for sharded in (False, True)
    )
    assert whole / DEVICES <= shard <= whole, f"{shard} MB cannot be a shard of {whole} MB"
    count = sum(math.prod(x.shape) for x in jax.tree.leaves(abstract_state(learner, mesh).params))
    return Row(
        case=f"{name}, {count / 1e6:.1f} M parameters, average and Adam on {DEVICES} devices",
        unit="MB on each",
        ours=Spread.of(shard),
        peer="replicated",
        theirs=Spread.of(whole),
        ratio=Spread.of(whole / shard),
        checked=f"at most {DEVICES} times better, which it would be without small arrays",
    )


def megabytes_per_device(tree: PyTree) -> float:
    """Returns the megabytes of these arrays that one device holds."""
    leaves = jax.tree.leaves(tree)
    held = [math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in leaves]
    return sum(held) / 1e6
