"""Trained runs, and how far what they draw is from their training data."""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np

from benchmarks.row import Asked, Spread
from sde_jax.data import TRAIN, DataNotFoundError, TfdsImages
from sde_jax.evaluation.features import FeatureNetwork, coordinates
from sde_jax.evaluation.networks import MissingNetworkError, network
from sde_jax.evaluation.reference import describe, reference
from sde_jax.metrics import FittedGaussian, FrechetDistance, frechet_distance
from sde_jax.runs.generation import concatenate, generate, is_valid
from sde_jax.runs.trained_run import ScoreRun, open_run
from sde_jax.sampling import Sampler
from sde_jax.training.devices import data_mesh
from sde_jax.training.errors import NotARunError

__all__ = ["MissingRunError", "Trained", "error_of", "opened", "with_error"]


class MissingRunError(ValueError):
    """A trained run is not there; the message says what would bring it."""


class Trained(NamedTuple):
    """A run, and the Gaussian of its training data's features, which is taken as exact."""

    run: ScoreRun
    features: FeatureNetwork
    known: FittedGaussian

    def distance(self, x: np.ndarray) -> FrechetDistance:
        """Of samples in model coordinates, with the standard error over other samples."""
        data = np.asarray(self.run.layout.scaling.to_unit(x))
        return frechet_distance(describe(self.features, data, data_mesh()).gaussian, self.known)

    def draw(
        self, sampler: Sampler, *, count: int, batch_size: int, evaluations: int
    ) -> np.ndarray:
        """Samples in model coordinates.

        Raises:
          AssertionError: if one is not finite, or took another number of evaluations.
        """
        run = self.run
        samples = concatenate(
            generate(
                run.experiment.sample_fn(run.layout, sampler, lambda: run.source),
                run.params,
                key=jax.random.key(0),
                count=count,
                batch_size=batch_size,
                mesh=data_mesh(),
            )
        )
        assert is_valid(samples).all(), "a sample is not finite"
        assert (samples.nfe == evaluations).all(), f"evaluations: {samples.nfe}"
        return samples.x


def opened(asked: Asked, name: str) -> Trained:
    """The run of that name, with the features of its classifier or, without one, its pixels.

    Raises:
      MissingRunError: if it is not there, or its data are not.
    """
    remedy = f"sde-jax train {name} --workdir RUNS/{name}"
    if asked.runs is None:
        raise MissingRunError(f"--runs RUNS, after {remedy}")
    try:
        run = open_run(asked.runs / name, data_mesh())
    except NotARunError:
        raise MissingRunError(f"no run {asked.runs / name}: {remedy}") from None
    data = run.experiment.data
    if asked.data_dir is not None and isinstance(data, TfdsImages):
        data = dataclasses.replace(data, data_dir=str(asked.data_dir))
    try:
        features = network("classifier", run.experiment.evaluation, run)
    except MissingNetworkError:
        features = coordinates(run.layout.shape)
    try:
        known = reference(features, data, TRAIN, mesh=data_mesh()).gaussian
    except DataNotFoundError as error:
        raise MissingRunError(f"--data-dir: {' '.join(str(error).split())}") from None
    return Trained(run, features, dataclasses.replace(known, groups=()))


def error_of(distance: FrechetDistance) -> Spread:
    """The distance with its standard error."""
    return Spread.of(distance.value, distance.stderr)


def with_error(distance: FrechetDistance) -> str:
    """The same in words."""
    return f"{distance.value:.2f} ± {distance.stderr:.2f}"
