"""Training of any learner: one loop, checkpoints, and the folder of a run."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.training.checkpoint import (
        Checkpoints as Checkpoints,
        Restored as Restored,
        saved_steps as saved_steps,
    )
    from sde_jax.training.compiled import update_options as update_options
    from sde_jax.training.devices import (
        AXIS as AXIS,
        batch_sharding as batch_sharding,
        compiled_on_each_device as compiled_on_each_device,
        data_mesh as data_mesh,
        on_each_device as on_each_device,
        pad_batch as pad_batch,
        replicate as replicate,
        replicated as replicated,
        shard_batch as shard_batch,
        state_sharding as state_sharding,
    )
    from sde_jax.training.errors import (
        CheckpointError as CheckpointError,
        ConfigChangedError as ConfigChangedError,
        NonFiniteError as NonFiniteError,
        NotARunError as NotARunError,
        RunError as RunError,
        RunExistsError as RunExistsError,
    )
    from sde_jax.training.fingerprint import checksum as checksum
    from sde_jax.training.learner import (
        Learner as Learner,
        Losses as Losses,
        Metrics as Metrics,
        TrainState as TrainState,
        gradient_learner as gradient_learner,
    )
    from sde_jax.training.loop import Draw as Draw, TrainResult as TrainResult, train as train
    from sde_jax.training.optimizer import Adam as Adam
    from sde_jax.training.processes import (
        first_error as first_error,
        is_first as is_first,
        join_processes as join_processes,
        raise_on_all as raise_on_all,
    )
    from sde_jax.training.run_directory import RunDirectory as RunDirectory, normal as normal
    from sde_jax.training.settings import Training as Training
    from sde_jax.training.start import (
        Progress as Progress,
        abstract_state as abstract_state,
        run_keys as run_keys,
    )
    from sde_jax.training.versions import environment as environment
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
