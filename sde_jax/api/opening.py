"""Opens runs as Python objects."""

from pathlib import Path

from sde_jax.api.run import Run
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.data_place import DataPlace
from sde_jax.runs.trained_run import open_run_of


def open_run(path: str | Path, *, data_path: str | None = None, data_dir: str | None = None) -> Run:
    """Opens the run in a directory, trained here or imported.

    Args:
      path: the run directory. Its newest readable checkpoint is used, or the best one where the
        run keeps it.
      data_path: the folder, zip or file of the run's data, if they moved.
      data_dir: the folder of prepared sets with the run's data, if they moved.

    Returns:
      The run.

    Raises:
      NotARunError: if the directory holds no run, or the run has no checkpoint.
      CheckpointError: if none of its checkpoints can be read.
      ConfigurationError: if its configuration cannot be used.
    """
    place = DataPlace(path=data_path, data_dir=data_dir)
    return Run(open_run_of(Trainable, Path(path), place))
