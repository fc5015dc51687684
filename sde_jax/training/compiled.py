"""The functions of a learner, compiled for a mesh."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from sde_jax.arrays import Array, Bool, PRNGKeyArray
from sde_jax.data import TEST, Batch, DataSource
from sde_jax.training.devices import batch_sharding, replicate, replicated, shard_batch
from sde_jax.training.fingerprint import described
from sde_jax.training.learner import Learner, Metrics, TrainState
from sde_jax.training.settings import Training

CPU_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE"
}


@functools.cache
def update_options(platform: str) -> dict[str, str] | None:
    """Returns XLA's options for updates on ``cpu``, ``gpu`` or ``tpu``, or None for the defaults.

    On CPU they leave convolutions to Eigen instead of YNNPACK. YNNPACK is faster in the forward
    pass and slower in the gradients of kernels, which dominate an update (benchmarks/README.md).
    """
    if platform != "cpu":
        return None
    try:
        jax.jit(jnp.copy, compiler_options=CPU_OPTIONS).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return None  # This XLA lacks the option.
    return CPU_OPTIONS


class Dispatched(NamedTuple):
    """The results of the updates of one dispatch, available when they are done."""

    metrics: Metrics
    """Arrays ``[steps]`` by name."""

    stop: Bool[Array, ""]
    """True if any process asked to stop when it dispatched them; the same in all processes."""

    steps: int
    """Number of updates."""


class Updates:
    """Updates of a learner, ``steps_per_call`` or one in a dispatch: at most two programs.

    Update ``i = 0, 1, ...`` uses ``fold_in(key, i)``. The batch is sharded over the mesh. The state
    keeps its sharding, and its old arrays are donated. Each dispatch tells all processes whether
    one of them asked to stop.
    """

    def __init__(
        self,
        learner: Learner,
        mesh: Mesh,
        key: PRNGKeyArray,
        state: TrainState,
        steps_per_call: int,
    ) -> None:
        self._learner = learner
        self._key = replicate(key, mesh)
        self._steps_per_call = steps_per_call
        self._words = batch_sharding(mesh)
        shardings = jax.tree.map(lambda x: x.sharding, state)
        self._call = jax.jit(
            self._updates,
            donate_argnums=0,
            out_shardings=(shardings, replicated(mesh), replicated(mesh)),
            compiler_options=update_options(mesh.devices.flat[0].platform),
        )

    def __call__(
        self, state: TrainState, batches: Iterator[Batch], at_most: int, *, stop: bool = False
    ) -> tuple[TrainState, Dispatched]:
        """Makes up to ``at_most`` updates; ``stop`` asks all processes to make no more."""
        count = self._steps_per_call if self._steps_per_call <= at_most else 1
        word = jax.make_array_from_callback(
            (self._words.num_devices,), self._words, lambda index: np.full(1, stop)
        )
        parts = tuple(itertools.islice(batches, count))
        state, metrics, any_stop = self._call(state, self._key, word, parts)
        return state, Dispatched(metrics, any_stop, count)

    def _updates(
        self,
        state: TrainState,
        key: PRNGKeyArray,
        stop: Bool[Array, "devices"],
        batches: tuple[Batch, ...],
    ) -> tuple[TrainState, Metrics, Bool[Array, ""]]:
        def update(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
            step_key = jax.random.fold_in(key, state.step)
            updated, metrics = self._learner.update(state, step_key, batch)
            check_types(state, updated)
            return updated, metrics

        if len(batches) == 1:
            state, metrics = update(state, batches[0])
            return state, jax.tree.map(lambda x: x[None], metrics), stop.any()
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *batches)
        return *jax.lax.scan(update, state, stacked), stop.any()


def check_types(state: TrainState, updated: TrainState) -> None:
    """Raises ValueError unless an update keeps the types of the state, as restoring it requires."""
    before, after = described(state), described(updated)
    for name in {**before, **after}:
        old, new = (of.get(name, "nothing") for of in (before, after))
        if old != new:
            raise ValueError(
                f"an update must not change the types of the state, which could not be restored: "
                f"`{name}` changes from {old} to {new}."
            )


def held_out_loss(
    learner: Learner, source: DataSource, mesh: Mesh, key: PRNGKeyArray, training: Training
) -> Callable[[TrainState], float]:
    """Returns the function of a state that returns the mean held-out loss of averaged parameters.

    It is over the split ``test``, with each example counted once. Noise depends only on ``key``, so
    that values of different steps can be compared.
    """
    key_data, key_losses = jax.random.split(key)
    losses_of = jax.jit(learner.evaluate, out_shardings=replicated(mesh))
    size, count, sharding = training.batch_size, training.eval_examples, batch_sharding(mesh)

    def loss(state: TrainState) -> float:
        losses: list[tuple[Array, int]] = []
        batches = source.batches(key_data, TEST, size, count=count, sharding=sharding)
        for number, batch in enumerate(batches):
            key = replicate(jax.random.fold_in(key_losses, number), mesh)
            padded = shard_batch(batch, mesh, size)
            losses.append((losses_of(state, key, padded), len(batch.x)))
        counted = [np.asarray(values)[:count] for values, count in losses]
        return float(np.concatenate(counted).mean(dtype=np.float64))

    return loss
