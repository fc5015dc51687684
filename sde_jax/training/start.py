"""Where a run starts: at its newest readable checkpoint, or at the beginning."""

import dataclasses
from typing import Any, NamedTuple, Self

import jax
import numpy as np
from jax.sharding import Mesh

from sde_jax.arrays import Array, PRNGKeyArray, PyTree
from sde_jax.training.checkpoint import Checkpoints
from sde_jax.training.devices import replicate, state_sharding
from sde_jax.training.learner import Learner, TrainState

__all__ = ["Progress", "RunKeys", "abstract_state", "run_keys", "start"]


class RunKeys(NamedTuple):
    """The keys of a run, one for each use."""

    init: PRNGKeyArray
    data: PRNGKeyArray
    update: PRNGKeyArray
    evaluation: PRNGKeyArray


def run_keys(seed: int) -> RunKeys:
    """The keys of the run with that seed."""
    return RunKeys(*jax.random.split(jax.random.key(seed), len(RunKeys._fields)))


@dataclasses.dataclass
class Progress:
    """What a run knows beside its state; it travels in the notes of a checkpoint."""

    step: int = 0
    """Updates made."""

    seconds: float = 0.0
    """Time spent so far, over all pieces of the run."""

    unlogged: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    """Metrics of the updates since the last line of the log."""

    held_out_loss: float | None = None
    """Of the last evaluation."""

    held_out_step: int | None = None
    """Its step."""

    lowest_loss: float | None = None
    """The lowest held-out loss so far."""

    def to_notes(self) -> dict[str, Any]:
        """As JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_notes(cls, notes: dict[str, Any]) -> Self:
        """The inverse of `to_notes`."""
        return cls(**{field.name: notes[field.name] for field in dataclasses.fields(cls)})


def abstract_state(learner: Learner, mesh: Mesh, *, sharded: bool = False) -> PyTree:
    """Shapes, types and shardings of a learner's state on a mesh, for `Checkpoints.restore`.

    ``sharded`` spreads it over the devices, as `state_sharding` does.
    """
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(
            x.shape, x.dtype, sharding=state_sharding(x.shape, mesh, sharded=sharded)
        ),
        jax.eval_shape(learner.init, jax.random.key(0)),
    )


def start(
    learner: Learner,
    checkpoints: Checkpoints,
    mesh: Mesh,
    key: PRNGKeyArray,
    *,
    sharded: bool = False,
) -> tuple[TrainState, Progress]:
    """State and progress of the newest readable checkpoint, or of a beginning where there is none.

    The beginning is initialized eagerly: compiling an initialization takes longer than running it.
    A ``sharded`` one is, by the host: no device need hold it whole.

    Raises:
      CheckpointError: if there are checkpoints and none can be read.
    """
    like = abstract_state(learner, mesh, sharded=sharded)
    if checkpoints.steps():
        restored = checkpoints.restore_newest(like)
        if restored is not None:
            return restored.state, Progress.from_notes(restored.notes)
    if not sharded:
        return replicate(learner.init(key), mesh), Progress()
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        return jax.tree.map(spread, learner.init(key), like), Progress()


def spread(array: Array, like: jax.ShapeDtypeStruct) -> Array:
    """``array``, which every process holds, as ``like`` is sharded."""
    values = np.asarray(array)
    return jax.make_array_from_callback(like.shape, like.sharding, lambda index: values[index])
