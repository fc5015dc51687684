"""Training of any learner: one loop, checkpoints, and the folder of a run."""

from sde_jax.training.checkpoint import Checkpoints, Restored
from sde_jax.training.devices import (
    batch_sharding,
    data_mesh,
    on_each_device,
    pad_batch,
    replicate,
    replicated,
    shard_batch,
)
from sde_jax.training.errors import (
    CheckpointError,
    ConfigChangedError,
    NonFiniteError,
    NotARunError,
    RunError,
    RunExistsError,
)
from sde_jax.training.learner import Learner, Losses, Metrics, TrainState, gradient_learner
from sde_jax.training.loop import TrainResult, train
from sde_jax.training.optimizer import Adam
from sde_jax.training.run_directory import RunDirectory
from sde_jax.training.settings import Training
from sde_jax.training.start import abstract_state, run_keys

__all__ = [
    "Adam",
    "CheckpointError",
    "Checkpoints",
    "ConfigChangedError",
    "Learner",
    "Losses",
    "Metrics",
    "NonFiniteError",
    "NotARunError",
    "Restored",
    "RunDirectory",
    "RunError",
    "RunExistsError",
    "TrainResult",
    "TrainState",
    "Training",
    "abstract_state",
    "batch_sharding",
    "data_mesh",
    "gradient_learner",
    "on_each_device",
    "pad_batch",
    "replicate",
    "replicated",
    "run_keys",
    "shard_batch",
    "train",
]
