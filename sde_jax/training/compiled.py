"""A learner's functions, compiled for a mesh."""

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from sde_jax.arrays import Array, PRNGKeyArray
from sde_jax.data.source import Batch, DataSource
from sde_jax.training.devices import batch_sharding, replicate, replicated, shard_batch
from sde_jax.training.learner import Learner, Metrics, TrainState
from sde_jax.training.settings import Training

__all__ = ["HeldOut", "Updates"]


class Updates:
    """Updates of a learner, ``steps_per_call`` or one in a dispatch: at most two programs.

    Update ``i = 0, 1, ...`` uses ``fold_in(key, i)``. The batch is sharded over the mesh; the state
    stays where it is, and its old arrays are given up (donated).
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
        shardings = jax.tree.map(lambda x: x.sharding, state)
        self._call = jax.jit(
            self._updates, donate_argnums=0, out_shardings=(shardings, replicated(mesh))
        )

    def __call__(
        self, state: TrainState, batches: Iterator[Batch], at_most: int
    ) -> tuple[TrainState, Metrics, int]:
        """Makes up to ``at_most`` updates; returns state, metrics (each ``[count]``) and count."""
        count = self._steps_per_call if self._steps_per_call <= at_most else 1
        state, metrics = self._call(state, self._key, tuple(itertools.islice(batches, count)))
        return state, metrics, count

    def _updates(
        self, state: TrainState, key: PRNGKeyArray, batches: tuple[Batch, ...]
    ) -> tuple[TrainState, Metrics]:
        def update(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
            return self._learner.update(state, jax.random.fold_in(key, state.step), batch)

        if len(batches) == 1:
            state, metrics = update(state, batches[0])
            return state, jax.tree.map(lambda x: x[None], metrics)
        return jax.lax.scan(update, state, jax.tree.map(lambda *x: jnp.stack(x), *batches))


class HeldOut:
    """The mean held-out loss of a learner over the split ``test``, every example counted once.

    Noise depends on ``key`` alone, so that values of different steps can be compared.
    """

    def __init__(
        self,
        learner: Learner,
        source: DataSource,
        mesh: Mesh,
        key: PRNGKeyArray,
        training: Training,
    ) -> None:
        self._source = source
        self._mesh = mesh
        self._batch_size = training.batch_size
        self._count = training.eval_examples
        self._key_data, self._key_losses = jax.random.split(key)
        self._losses = jax.jit(learner.evaluate, out_shardings=replicated(mesh))

    def __call__(self, state: TrainState) -> float:
        """The mean loss of the averaged parameters."""
        losses: list[tuple[Array, int]] = []
        batches = self._source.batches(
            self._key_data,
            "test",
            self._batch_size,
            count=self._count,
            sharding=batch_sharding(self._mesh),
        )
        for number, batch in enumerate(batches):
            key = replicate(jax.random.fold_in(self._key_losses, number), self._mesh)
            padded = shard_batch(batch, self._mesh, self._batch_size)
            losses.append((self._losses(state, key, padded), len(batch.x)))
        counted = [np.asarray(values)[:count] for values, count in losses]
        return float(np.concatenate(counted).mean(dtype=np.float64))
