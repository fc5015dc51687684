"""Which feature networks are at hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sde_jax.evaluation.features import FeatureNetwork, classifier, coordinates, inception
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.recipes.evaluation_settings import EvaluationSettings, FeatureName
from sde_jax.runs.trained_run import GenerativeRun

__all__ = ["Networks", "available", "classifier_run"]


class Networks(NamedTuple):
    """Feature networks that are at hand, and of the others how to get them."""

    found: list[FeatureNetwork]
    missing: Mapping[str, str]
    """A line for each that is not at hand."""


def available(settings: EvaluationSettings, run: GenerativeRun) -> Networks:
    """The networks that an evaluation of ``run`` asks for.

    Raises:
      ValueError, RunError: if one does not fit the data, or cannot be read.
    """
    found: list[FeatureNetwork] = []
    missing: dict[str, str] = {}
    for name in settings.features:
        try:
            found.append(network(name, settings, run))
        except (CheckpointFileError, MissingNetworkError) as error:
            missing[name] = " ".join(str(error).split())
    return Networks(found, missing)


class MissingNetworkError(ValueError):
    """A feature network is not at hand; the message says how to get it."""


def network(name: FeatureName, settings: EvaluationSettings, run: GenerativeRun) -> FeatureNetwork:
    """A network by its name.

    Raises:
      CheckpointFileError, MissingNetworkError: if it is not at hand.
    """
    if name == "coordinates":
        return coordinates(run.layout.shape)
    if name == "classifier":
        return classifier(classifier_run(settings.classifier, run.directory.path))
    return inception()


def classifier_run(named: str | None, run: Path) -> Path:
    """The folder of the classifier's run.

    Raises:
      MissingNetworkError: if none is named, or there is none of this name.
    """
    if named is None:
        raise MissingNetworkError("no classifier is named: --classifier RUN names one.")
    for path in (Path(named).expanduser(), run.resolve().parent / named):
        if path.is_dir():
            return path
    raise MissingNetworkError(
        f"there is no run {named}, nor one beside {run}: `train` makes one of a classifier, such "
        "as digits_classifier, and --classifier RUN names it."
    )
