"""The start of a run: from its newest readable checkpoint, or from the beginning."""

import dataclasses
import typing
from typing import Any, NamedTuple, Self

import jax
import numpy as np
from jax.sharding import Mesh

from sde_jax.arrays import PRNGKeyArray, PyTree
from sde_jax.data.placement import put
from sde_jax.training.checkpoint import Checkpoints
from sde_jax.training.devices import replicate, state_sharding
from sde_jax.training.errors import CheckpointError
from sde_jax.training.learner import Learner, TrainState
from sde_jax.validation import fits


class RunKeys(NamedTuple):
    """The keys of a run, one for each use."""

    init: PRNGKeyArray
    data: PRNGKeyArray
    update: PRNGKeyArray
    evaluation: PRNGKeyArray


def run_keys(seed: int) -> RunKeys:
    """Returns the keys of the run with that seed."""
    return RunKeys(*jax.random.split(jax.random.key(seed), len(RunKeys._fields)))


@dataclasses.dataclass
class Progress:
    """The progress of a run, stored in the notes of a checkpoint."""

    step: int = 0
    """Updates made."""

    seconds: float = 0.0
    """Time spent so far, including earlier processes."""

    unlogged: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    """Metrics of the updates since the last line of the log."""

    held_out_loss: float | None = None
    """Held-out loss of the last evaluation."""

    held_out_step: int | None = None
    """Step of the last evaluation."""

    lowest_loss: float | None = None
    """The lowest held-out loss so far."""

    @classmethod
    def from_notes(cls, notes: dict[str, Any]) -> Self:
        """Builds the progress from the notes of a checkpoint, which are its fields.

        Raises:
          CheckpointError: if the notes lack one, or it is of another type.
        """
        for name, hint in typing.get_type_hints(cls).items():
            if not fits(notes.get(name, ...), hint):
                raise CheckpointError(
                    f"the notes of the checkpoint must have `{name}`, of type {hint}: training "
                    "cannot continue from it"
                )
        return cls(**{field.name: notes[field.name] for field in dataclasses.fields(cls)})


def abstract_state(learner: Learner, mesh: Mesh, *, sharded: bool = False) -> PyTree:
    """Returns shapes, types and shardings of a learner's state, for `Checkpoints.restore`.

    ``sharded`` spreads the state over the devices of the mesh, as `state_sharding` does.
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
    """Returns state and progress of the newest readable checkpoint, or initial ones without any.

    The initial state is computed eagerly, since compiling an initialization takes longer than
    running it. A ``sharded`` state is initialized on the host, so that no device holds it whole.

    Raises:
      CheckpointError: if there are checkpoints and none can be read.
    """
    like = abstract_state(learner, mesh, sharded=sharded)
    restored = checkpoints.restore_newest(like)
    if restored is not None:
        return restored.state, Progress.from_notes(restored.notes)
    if not sharded:
        return replicate(learner.init(key), mesh), Progress()
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        initial = jax.tree.map(np.asarray, learner.init(key))
    return jax.tree.map(lambda x, to: put(x, to.sharding), initial, like), Progress()
