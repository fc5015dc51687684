"""How much of a device's memory do parameters and optimizer take, replicated and sharded?

    python -m benchmarks sharding

Bytes of the train state that one of eight devices holds, counted of shapes and shardings; nothing
is computed. Images are 32x32x3; `--training.shard-parameters` shards.
"""

import dataclasses
import math
from collections.abc import Iterator

import jax
from jax.sharding import AbstractMesh

from benchmarks.ddpmpp import M
from benchmarks.row import Asked, Row, Spread
from sde_jax.arrays import PyTree
from sde_jax.interop import published
from sde_jax.recipes.published import published_experiment
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.training import abstract_state
from sde_jax.training.devices import AXIS

DEVICES = 8
CIFAR10 = ("vp/cifar10_ddpmpp_continuous", "ve/cifar10_ncsnpp_deep_continuous")


def rows(asked: Asked) -> Iterator[Row]:
    """A row for each network."""
    first = published_experiment(published(CIFAR10[0]))
    yield row(M.name, dataclasses.replace(first, network=M.spec))
    for name in CIFAR10:
        yield row(name, published_experiment(published(name)))


def row(name: str, experiment: ScoreExperiment) -> Row:
    """The state in both ways.

    Raises:
      AssertionError: if a part is larger than the whole, or all parts together are smaller.
    """
    learner, mesh = experiment.learner(M.shape), AbstractMesh((DEVICES,), (AXIS,))
    whole, spread = (
        megabytes_per_device(abstract_state(learner, mesh, sharded=sharded))
        for sharded in (False, True)
    )
    assert whole / DEVICES <= spread <= whole, f"{spread} MB are no part of {whole} MB"
    count = sum(math.prod(x.shape) for x in jax.tree.leaves(abstract_state(learner, mesh).params))
    return Row(
        case=f"{name}, {count / 1e6:.1f} M parameters, average and Adam on {DEVICES} devices",
        unit="MB on each",
        ours=Spread.of(spread),
        peer="replicated",
        theirs=Spread.of(whole),
        ratio=Spread.of(whole / spread),
        checked=f"at most {DEVICES} times better, which it would be without small arrays",
    )


def megabytes_per_device(tree: PyTree) -> float:
    """What one device holds of arrays of these shapes and shardings."""
    leaves = jax.tree.leaves(tree)
    held = [math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in leaves]
    return sum(held) / 1e6
