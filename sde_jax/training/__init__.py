"""Training of any learner: one loop, checkpoints, and the folder of a run."""

from sde_jax.training.checkpoint import Checkpoints, Restored, saved_steps
from sde_jax.training.compiled import update_options
from sde_jax.training.devices import (
    AXIS,
    batch_sharding,
    data_mesh,
    on_each_device,
    pad_batch,
    replicate,
    replicated,
    shard_batch,
    state_sharding,
)
from sde_jax.training.errors import (
    CheckpointError,
    ConfigChangedError,
    NonFiniteError,
    NotARunError,
    RunError,
    RunExistsError,
)
from sde_jax.training.fingerprint import checksum
from sde_jax.training.learner import Learner, Losses, Metrics, TrainState, gradient_learner
from sde_jax.training.loop import TrainResult, train
from sde_jax.training.optimizer import Adam
from sde_jax.training.pictures import Draw
from sde_jax.training.processes import first_error, is_first, join_processes, raise_on_all
from sde_jax.training.run_directory import RunDirectory, normal
from sde_jax.training.settings import Training
from sde_jax.training.start import Progress, abstract_state, run_keys
from sde_jax.training.versions import environment

__all__ = [
    "AXIS",
    "Adam",
    "CheckpointError",
    "Checkpoints",
    "ConfigChangedError",
    "Draw",
    "Learner",
    "Losses",
    "Metrics",
    "NonFiniteError",
    "NotARunError",
    "Progress",
    "Restored",
    "RunDirectory",
    "RunError",
    "RunExistsError",
    "TrainResult",
    "TrainState",
    "Training",
    "abstract_state",
    "batch_sharding",
    "checksum",
    "data_mesh",
    "environment",
    "first_error",
    "gradient_learner",
    "is_first",
    "join_processes",
    "normal",
    "on_each_device",
    "pad_batch",
    "raise_on_all",
    "replicate",
    "replicated",
    "run_keys",
    "saved_steps",
    "shard_batch",
    "state_sharding",
    "train",
    "update_options",
]
