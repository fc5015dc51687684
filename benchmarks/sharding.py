"""How much of a device's memory do parameters and optimizer take, replicated and sharded?

    XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m benchmarks.sharding

Counts the bytes of the train state that one device holds; nothing is computed. Prints the rows of
the table in README.md.
"""

import dataclasses
import math

import jax

from experiments.experiment import Experiment
from experiments.published import published_experiment
from sde_jax.arrays import PyTree
from sde_jax.interop.score_sde import published
from sde_jax.nets.ncsnpp import NCSNppSpec
from sde_jax.training import abstract_state, data_mesh

SHAPE = (32, 32, 3)
NETWORK_M = NCSNppSpec(channels=64, blocks_per_level=2)
CIFAR10 = ("vp/cifar10_ddpmpp_continuous", "ve/cifar10_ncsnpp_deep_continuous")


def megabytes_per_device(tree: PyTree) -> float:
    """What one device holds of arrays of these shapes and shardings."""
    leaves = jax.tree.leaves(tree)
    held = [math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in leaves]
    return sum(held) / 1e6


def row(name: str, experiment: Experiment) -> str:
    """Parameters with their average, and the optimizer, in both ways."""
    learner, mesh = experiment.learner(SHAPE), data_mesh()
    whole, spread = (abstract_state(learner, mesh, sharded=sharded) for sharded in (False, True))
    count = sum(math.prod(x.shape) for x in jax.tree.leaves(whole.params))
    cells = [
        f"{megabytes_per_device(part(state)):.1f} MB"
        for part in (lambda state: (state.params, state.ema_params), lambda state: state.opt_state)
        for state in (whole, spread)
    ]
    return f"| {name} | {count / 1e6:.1f} M | {mesh.size} | {' | '.join(cells)} |"


def main() -> None:
    """Prints a row for each network."""
    first = published_experiment(published(CIFAR10[0]))
    print(row("DDPM++, nf 64, 2 blocks", dataclasses.replace(first, network=NETWORK_M)))
    for name in CIFAR10:
        print(row(name, published_experiment(published(name))))


if __name__ == "__main__":
    main()
