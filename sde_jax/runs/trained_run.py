"""An opened run, finished or not."""

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import jax.numpy as jnp

from sde_jax.arrays import PyTree, single_precision
from sde_jax.baselines.dequantizing_flow import FlowDequantization
from sde_jax.data.source import DataSource, Layout
from sde_jax.interop.published_sampling import published_sampler
from sde_jax.memory import check_fits, size_of
from sde_jax.nets import Condition
from sde_jax.recipes.dequantization import Dequantization
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.interfaces import Density, Draw, Given
from sde_jax.recipes.likelihood_settings import LikelihoodSettings
from sde_jax.recipes.named import Kind_co, Named
from sde_jax.recipes.protocols import Measurement
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.recipes.serialization import ConfigurationError
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.beside import run_beside
from sde_jax.runs.data_place import DataPlace, naming_option
from sde_jax.runs.fitted_grids import fitted_grid
from sde_jax.sampling import Sampler
from sde_jax.score import NetworkScore
from sde_jax.training.checkpoint import Checkpoints
from sde_jax.training.devices import data_mesh, replicate
from sde_jax.training.errors import NotARunError
from sde_jax.training.learner import TrainState
from sde_jax.training.run_directory import RunDirectory, check_name
from sde_jax.training.start import abstract_state

Kind = TypeVar("Kind", bound=Trainable)

HERE = DataPlace()
"""The place that a run stores."""


class WrongKindError(ValueError):
    """A run is not of the kind of experiment that is needed."""


@dataclass(frozen=True)
class TrainedRun(Generic[Kind_co]):
    """The contents of a run directory."""

    directory: RunDirectory
    named: Named[Kind_co]
    layout: Layout
    state: TrainState
    condition: Condition | None = None
    """Condition of samples and densities: a row for all, or one for each; None for none."""
    weight: float | None = None
    """Weight of guidance by the condition; None for none."""

    @property
    def experiment(self) -> Kind_co:
        """The experiment of the run."""
        return self.named.experiment

    @property
    def params(self) -> PyTree:
        """The averaged parameters."""
        return self.state.ema_params

    @property
    def inputs(self) -> PyTree:
        """The first argument of its draws: the averaged parameters, with the condition if there is
        one."""
        if self.condition is None:
            return self.params
        weight = None if self.weight is None else jnp.float32(self.weight)
        return Given(self.params, self.condition, weight)

    @property
    def score(self: "ScoreRun") -> NetworkScore:
        """The score of the averaged parameters."""
        return self.experiment.score(self.params)

    @property
    def step(self) -> int:
        """Number of updates of the parameters."""
        return int(self.state.step)

    def sample_fn(self: "GenerativeRun", settings: SamplerSettings | None, frames: int = 0) -> Draw:
        """Returns the function that draws samples by ``settings``, keeping ``frames`` states on the
        way.

        Times that are fitted to the network are read from the run directory, or fitted now.

        Raises:
          ValueError: if the model has no such sampler, as that of a published model has, or if it
            asks for fitted times where there are none.
        """
        sampler: Sampler | None = None
        settings = self.resolved(settings)
        if settings is not None:
            self.experiment.check_sampler(settings)
        if settings is not None and settings.sampler == "published" and self.named.model:
            published = published_sampler(self.named.model)
            sampler = settings.computing(dataclasses.replace(published, frames=frames))
        elif settings is not None:
            sampler = self._sampler(settings, frames)
        return self.experiment.sample_fn(self.layout, sampler, lambda: self.source)

    def resolved(self, settings: SamplerSettings | None) -> SamplerSettings | None:
        """Returns the settings with a grid in place of "auto".

        Raises:
          ValueError: if the grid is "fitted", and the model or the sampler rules that out.
        """
        if settings is None:
            return None
        experiment = self.experiment
        fits = isinstance(experiment, ScoreExperiment) and not experiment.needs_condition
        return settings.resolved(fits=fits)

    def _sampler(self, settings: SamplerSettings, frames: int) -> Sampler:
        if not settings.is_fitted:
            return settings.build(frames=frames)
        assert isinstance(self.experiment, ScoreExperiment)
        state, shape = self.state, self.layout.shape
        grid = fitted_grid(self.directory, self.experiment, state, settings, shape)
        return settings.build(frames=frames, grid=grid)

    def density(self: "GenerativeRun", settings: Any) -> Density | None:
        """Returns the function that measures densities by ``settings``; None if the model has
        none."""
        if isinstance(self.experiment, ScoreExperiment):
            of_score = cast("ScoreRun", self)
            return of_score.measurement(settings).density(of_score.experiment.score)
        return self.experiment.density(self.layout, settings)

    def measurement(self: "ScoreRun", settings: LikelihoodSettings) -> Measurement:
        """Returns the protocol of ``settings``, with its dequantizer.

        Raises:
          ValueError: if it does not suit the model or the data.
          RunError: if the dequantizer cannot be read.
        """
        found = self.experiment.measurement(self.layout, settings)
        if settings.protocol != "variational" or settings.dequantizer is None:
            return found
        path = run_beside(settings.dequantizer, self.directory.path, "--dequantizer")
        of_noise = open_run_of(Dequantization, path)
        of_noise.check_layout(self.layout)
        model = of_noise.experiment.model()
        build = functools.partial(FlowDequantization, model=model, params=of_noise.params)
        return dataclasses.replace(found, dequantizer=build)

    def check_layout(self, other: Layout) -> None:
        """Raises ValueError if the run is of data of another shape or scaling."""
        if self.layout != other:
            raise ValueError(
                f"{self.directory.path} is of data of another kind, {self.layout}: they must be "
                f"{other}."
            )

    @functools.cached_property
    def source(self) -> DataSource:
        """The data, loaded on first use.

        Raises:
          DataNotFoundError: if they are missing; the message names the option for another place.
        """
        with naming_option(self.experiment.data):
            return self.experiment.data.load()


GenerativeRun = TrainedRun[Generative]
"""A run that can be sampled and, if its model has a density, measured."""

ScoreRun = TrainedRun[ScoreExperiment]
"""A run of a score model."""


def open_run(path: Path, place: DataPlace = HERE) -> ScoreRun:
    """Opens the run of a score model: see `open_run_of`."""
    return open_run_of(ScoreExperiment, path, place)


def open_generative(path: Path, place: DataPlace = HERE) -> GenerativeRun:
    """Opens the run of any model that can be sampled: see `open_run_of`."""
    return open_run_of(Generative, path, place)


@single_precision()
def open_run_of(kind: type[Kind], path: Path, place: DataPlace = HERE) -> TrainedRun[Kind]:
    """Opens the run in ``path`` at its newest readable checkpoint or, if it keeps the best, at that
    one, on all devices.

    Args:
      kind: the kind of its experiment.
      path: the run directory.
      place: the place of its data, where they moved.

    Raises:
      UsageError: if its data have no such place.
      DataNotFoundError: if its layout is not known without the data, and they are missing.
      WrongKindError: if it is of another.
      NotARunError: if ``path`` is no run, or one without a checkpoint.
      CheckpointError: if none of its checkpoints can be read.
      ConfigurationError: if its configuration does not fit its experiment.
    """
    directory, mesh = RunDirectory.open(path), data_mesh()
    named = of_kind(kind, stored_experiment(directory, place), path)
    with naming_option(named.experiment.data):
        layout = named.experiment.data.layout()
    check_name(path)
    with Checkpoints(directory.checkpoints) as checkpoints:
        training = named.experiment.training
        try:
            learner = named.experiment.learner(layout.shape)
            like = abstract_state(learner, mesh, sharded=training.shard_parameters)
        except ValueError as error:
            raise unusable(directory, error) from error
        check_fits(size_of(like), f"the parameters in {path}")
        restore = checkpoints.restore_best if training.keep_best else checkpoints.restore_newest
        restored = restore(like)
    if restored is None:
        raise NotARunError(f"{path} has no checkpoint yet: train it first.")
    averaged = replicate(restored.state.ema_params, mesh)
    return TrainedRun(directory, named, layout, restored.state._replace(ema_params=averaged))


def of_kind(kind: type[Kind], named: Named[Trainable], path: Path) -> Named[Kind]:
    """Returns the experiment with its kind known.

    Raises:
      WrongKindError: if it is another.
    """
    if not isinstance(named.experiment, kind):
        raise WrongKindError(
            f"{path} must be the run of a {kind.kind}: it is that of the {named.experiment.kind} "
            f"{named.name}.{named.experiment.alternative}"
        )
    return Named(named.name, named.experiment, named.model)


def stored_experiment(directory: RunDirectory, place: DataPlace = HERE) -> Named[Trainable]:
    """Returns the experiment of a run directory, with its data at ``place``.

    Raises:
      ConfigurationError: if its configuration is not that of an experiment.
      UsageError: if its data have no such place.
    """
    try:
        named = Named.from_config(directory.config)
    except ValueError as error:
        raise unusable(directory, error) from error
    experiment: Any = named.experiment
    data = place.of(experiment.data.in_run(directory.path), directory.path)
    return dataclasses.replace(named, experiment=dataclasses.replace(experiment, data=data))


def unusable(directory: RunDirectory, error: ValueError) -> ConfigurationError:
    """Returns the error of a run whose configuration cannot be used."""
    return ConfigurationError(f"{directory.path / 'config.json'} cannot be used: {error}")
