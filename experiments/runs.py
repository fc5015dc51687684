"""A finished or unfinished run, opened to be used."""

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from jax.sharding import Mesh

from experiments.configuration import ConfigurationError, Kind_co, Named
from experiments.experiment import Experiment
from experiments.samplers import SamplerSettings
from experiments.trainable import Trainable
from sde_jax.data.source import DataSource, Layout
from sde_jax.interop.published_sampler import published_sampler
from sde_jax.sampling import Sampler
from sde_jax.score import NetworkScore
from sde_jax.training.checkpoint import Checkpoints
from sde_jax.training.devices import replicate
from sde_jax.training.errors import NotARunError
from sde_jax.training.learner import TrainState
from sde_jax.training.run_directory import RunDirectory
from sde_jax.training.start import abstract_state

Kind = TypeVar("Kind", bound=Trainable)


class WrongKindError(ValueError):
    """A run is not of the kind of experiment that is needed."""


@dataclass(frozen=True)
class TrainedRun(Generic[Kind_co]):
    """What a run directory holds."""

    directory: RunDirectory
    named: Named[Kind_co]
    layout: Layout
    state: TrainState

    @property
    def experiment(self) -> Kind_co:
        """What was trained."""
        return self.named.experiment

    @property
    def score(self: "ScoreRun") -> NetworkScore:
        """The score of the averaged parameters."""
        return NetworkScore(self.state.ema_params, self.experiment.model())

    @property
    def step(self) -> int:
        """Updates that the parameters have had."""
        return int(self.state.step)

    def sampler(self: "ScoreRun", settings: SamplerSettings, frames: int = 0) -> Sampler:
        """The sampler of ``settings``, keeping ``frames`` states on the way.

        Raises:
          ValueError: if it is to be the published one, and the run is of no published model.
        """
        if settings.sampler != "published":
            return settings.build(frames)
        if self.named.model is None:
            raise ValueError("`sampler` must not be published: the run is of no published model.")
        return dataclasses.replace(published_sampler(self.named.model), frames=frames)

    @functools.cached_property
    def source(self) -> DataSource:
        """The data, read when it is first asked for."""
        return self.experiment.data.load()


ScoreRun = TrainedRun[Experiment]
"""A run that can be sampled and measured."""


def open_run(path: Path, mesh: Mesh) -> ScoreRun:
    """Opens the run of a score model: see `open_run_of`."""
    return open_run_of(Experiment, path, mesh)


def open_run_of(kind: type[Kind], path: Path, mesh: Mesh) -> TrainedRun[Kind]:
    """Opens the newest readable checkpoint of the run in ``path``, of an experiment of that kind.

    Raises:
      WrongKindError: if it is of another.
      NotARunError: if ``path`` is no run, or one without a checkpoint.
      CheckpointError: if none of its checkpoints can be read.
      ConfigurationError: if its configuration does not fit its experiment.
    """
    directory = RunDirectory.open(path)
    named = of_kind(kind, stored_experiment(directory), path)
    layout = named.experiment.data.layout()
    with Checkpoints(directory.checkpoints) as checkpoints:
        learner = named.experiment.learner(layout.shape)
        sharded = named.experiment.training.shard_parameters
        like = abstract_state(learner, mesh, sharded=sharded)
        restored = checkpoints.restore_newest(like) if checkpoints.steps() else None
    if restored is None:
        raise NotARunError(f"{path} has no checkpoint yet: train it first.")
    averaged = replicate(restored.state.ema_params, mesh)
    return TrainedRun(directory, named, layout, restored.state._replace(ema_params=averaged))


def of_kind(kind: type[Kind], named: Named[Trainable], path: Path) -> Named[Kind]:
    """What the run in ``path`` was made by, of which the kind is known.

    Raises:
      WrongKindError: if it is another.
    """
    if not isinstance(named.experiment, kind):
        raise WrongKindError(
            f"{path} must be the run of a {kind.kind}: it is that of the {named.experiment.kind} "
            f"{named.name}."
        )
    return Named(named.name, named.experiment, named.model)


def stored_experiment(directory: RunDirectory) -> Named[Trainable]:
    """The experiment that a run directory was made by.

    Raises:
      ConfigurationError: if its configuration is not that of an experiment.
    """
    try:
        return Named.from_config(directory.config)
    except ValueError as error:
        path = directory.path / "config.json"
        raise ConfigurationError(f"{path} cannot be used: {error}") from error
