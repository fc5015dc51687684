"""Selection of the feature networks of an evaluation."""

from pathlib import Path

from sde_jax.evaluation.features import FeatureNetwork, classifier, coordinates, inception
from sde_jax.interop import CheckpointFileError
from sde_jax.recipes.evaluation_settings import EvaluationSettings, FeatureName
from sde_jax.runs.beside import run_beside
from sde_jax.runs.trained_run import GenerativeRun
from sde_jax.training.errors import NotARunError


def available(
    settings: EvaluationSettings, run: GenerativeRun
) -> tuple[list[FeatureNetwork], dict[str, str]]:
    """Returns the networks of the settings, and a line on how to get each missing one.

    Raises:
      ValueError, RunError: if a network does not fit the data, or cannot be read.
    """
    found: list[FeatureNetwork] = []
    missing: dict[str, str] = {}
    for name in settings.features:
        try:
            found.append(network(name, settings, run))
        except (CheckpointFileError, MissingNetworkError) as error:
            missing[name] = " ".join(str(error).split())
    return found, missing


class MissingNetworkError(ValueError):
    """A feature network is missing; the message says how to get it."""


def network(name: FeatureName, settings: EvaluationSettings, run: GenerativeRun) -> FeatureNetwork:
    """Returns a network by its name.

    Raises:
      CheckpointFileError, MissingNetworkError: if it is missing.
    """
    if name == "coordinates":
        return coordinates(*run.layout)
    if name == "classifier":
        return classifier(classifier_run(settings.classifier, run.directory.path))
    return inception()


def classifier_run(named: str | None, run: Path) -> Path:
    """Returns the folder of the classifier's run.

    Raises:
      MissingNetworkError: if ``named`` is None, or there is no such run.
    """
    if named is None:
        raise MissingNetworkError("no classifier is named: name its run with --classifier RUN.")
    try:
        return run_beside(named, run, "--classifier")
    except NotARunError as error:
        raise MissingNetworkError(f"no classifier: {error}") from None
