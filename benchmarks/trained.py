"""Trained runs, and the Fréchet distance of their samples to their training data."""

import dataclasses
from typing import NamedTuple

import numpy as np

from benchmarks.row import BenchmarkOptions, Spread
from sde_jax.data import TRAIN, DataNotFoundError, TfdsImages
from sde_jax.evaluation import (
    FeatureNetwork,
    MissingNetworkError,
    compute_reference,
    coordinates,
    describe,
    network,
)
from sde_jax.metrics import FittedGaussian, FrechetDistance, frechet_distance
from sde_jax.recipes import SamplerSettings
from sde_jax.runs import GenerativeRun, draw_all, is_valid, open_generative
from sde_jax.score import NetworkScore
from sde_jax.training import NotARunError


class MissingRunError(ValueError):
    """A trained run or its data do not exist; the message names the remedy."""


class TrainedModel(NamedTuple):
    """A run, and the Gaussian fitted to the features of its training data, taken as exact."""

    run: GenerativeRun
    features: FeatureNetwork
    training_data: FittedGaussian

    @property
    def score(self) -> NetworkScore:
        """The score of the averaged parameters; of a student, that of its jumps."""
        return NetworkScore(self.run.params, self.run.experiment.model())

    def distance(self, x: np.ndarray) -> FrechetDistance:
        """Returns the distance of samples in model coordinates, with its standard error."""
        data = np.asarray(self.run.layout.scaling.to_unit(x))
        features = describe(self.features, data)
        return frechet_distance(features.gaussian, self.training_data)

    def draw(
        self, settings: SamplerSettings, *, count: int, batch_size: int, evaluations: int
    ) -> np.ndarray:
        """Draws samples in model coordinates.

        Raises:
          AssertionError: if a sample is not finite or took another number of evaluations.
        """
        draw = self.run.sample_fn(settings)
        samples = draw_all(draw, self.run.params, count=count, batch_size=batch_size)
        assert is_valid(samples).all(), "a sample is not finite"
        assert (samples.nfe == evaluations).all(), f"evaluations: {samples.nfe}"
        return samples.x


def open_trained(options: BenchmarkOptions, name: str) -> TrainedModel:
    """Opens a run by name; its features are those of its classifier or, without one, its pixels.

    Raises:
      MissingRunError: if the run or its data do not exist.
    """
    remedy = f"sde-jax train {name} --workdir RUNS/{name}"
    if options.runs is None:
        raise MissingRunError(f"--runs RUNS, after {remedy}")
    try:
        run = open_generative(options.runs / name)
    except NotARunError:
        raise MissingRunError(f"no run {options.runs / name}: {remedy}") from None
    data = run.experiment.data
    if options.data_dir is not None and isinstance(data, TfdsImages):
        data = dataclasses.replace(data, data_dir=str(options.data_dir))
    try:
        features = network("classifier", run.experiment.evaluation, run)
    except MissingNetworkError:
        features = coordinates(run.layout.shape)
    try:
        fitted = compute_reference(features, data, TRAIN).gaussian
    except DataNotFoundError as error:
        raise MissingRunError(f"--data-dir: {' '.join(str(error).split())}") from None
    return TrainedModel(run, features, dataclasses.replace(fitted, groups=()))


def as_spread(distance: FrechetDistance) -> Spread:
    """Returns the distance plus and minus its standard error."""
    return Spread.of(distance.value, distance.stderr)


def format_distance(distance: FrechetDistance) -> str:
    """Formats the distance with its standard error."""
    return f"{distance.value:.2f} ± {distance.stderr:.2f}"
