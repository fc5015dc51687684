"""A finished or unfinished run, opened to be used."""

import functools
from dataclasses import dataclass
from pathlib import Path

from jax.sharding import Mesh

from experiments.configuration import ConfigurationError, find, from_config
from experiments.experiment import Experiment
from sde_jax.data.source import DataSource, Layout
from sde_jax.score import NetworkScore
from sde_jax.training.checkpoint import Checkpoints
from sde_jax.training.errors import NotARunError
from sde_jax.training.run_directory import RunDirectory
from sde_jax.training.start import abstract_state


@dataclass(frozen=True)
class TrainedRun:
    """What a run directory holds, and the score of its averaged parameters."""

    directory: RunDirectory
    name: str
    experiment: Experiment
    layout: Layout
    score: NetworkScore
    step: int
    """Updates that the parameters have had."""

    @functools.cached_property
    def source(self) -> DataSource:
        """The data, read when it is first asked for."""
        return self.experiment.data.load()


def open_run(path: Path, mesh: Mesh) -> TrainedRun:
    """Opens the newest readable checkpoint of the run in ``path``.

    Raises:
      NotARunError: if ``path`` is no run, or one without a checkpoint.
      CheckpointError: if none of its checkpoints can be read.
      ConfigurationError: if its configuration does not fit its experiment.
    """
    directory = RunDirectory.open(path)
    name, experiment = stored_experiment(directory)
    layout = experiment.data.layout()
    with Checkpoints(directory.checkpoints) as checkpoints:
        like = abstract_state(experiment.learner(layout.shape), mesh)
        restored = checkpoints.restore_newest(like) if checkpoints.steps() else None
    if restored is None:
        raise NotARunError(f"{path} has no checkpoint yet: train it first.")
    score = NetworkScore(restored.state.ema_params, experiment.model())
    return TrainedRun(directory, name, experiment, layout, score, int(restored.state.step))


def stored_experiment(directory: RunDirectory) -> tuple[str, Experiment]:
    """Name and value of the experiment that a run directory was made by.

    Raises:
      ConfigurationError: if its configuration is not that of an experiment.
    """
    try:
        name, config = directory.config["name"], directory.config["experiment"]
        return name, from_config(find(name), config, "experiment")
    except (KeyError, TypeError):
        problem = "it has no `name` and `experiment`"
    except ConfigurationError as error:
        problem = str(error)
    raise ConfigurationError(f"{directory.path / 'config.json'} cannot be used: {problem}")
