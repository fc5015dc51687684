"""Experiments by their names: definitions in files, and published models.

Only the file of the requested name is imported: see `sde_jax.runs.definition_names`.
"""

from pathlib import Path

from sde_jax.interop.configurations import published
from sde_jax.interop.published_model import PublishedModel
from sde_jax.json_files import read_json
from sde_jax.recipes.definition_file import ConfigurationError
from sde_jax.recipes.named import Named
from sde_jax.recipes.published import published_experiment
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.definition_names import Definition, locate


def find(reference: str) -> Named[Trainable]:
    """Finds an experiment.

    Args:
      reference: the name of a definition in `FOLDER`, ``FILE.py:NAME`` for one of any file, the
        name of a published model, or a .json file that describes one.

    Raises:
      ConfigurationError: if there is none, or it cannot be built.
    """
    definition = locate(reference)
    return of_model(*find_model(reference)) if definition is None else of_definition(definition)


def of_definition(definition: Definition) -> Named[Trainable]:
    """Builds the experiment of a definition.

    Raises:
      ConfigurationError: if it is none, or cannot be built.
    """
    experiment = definition.value()
    if not isinstance(experiment, Trainable):
        raise ConfigurationError(
            f"{definition.file}:{definition.name} must return an experiment, such as "
            f"sde_jax.recipes.ScoreExperiment: got {type(experiment).__name__}."
        )
    return Named(definition.name, experiment)


def find_model(name: str) -> tuple[str, PublishedModel]:
    """Finds a published model by its name, or by a .json file, whose stem becomes its name.

    Raises:
      ConfigurationError: if there is none, or the file does not describe a `PublishedModel` that
        can be trained.
    """
    if not name.endswith(".json"):
        try:
            return name, published(name)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
    path = Path(name)
    try:
        model = PublishedModel.from_fields(read_json(path))
        published_experiment(model)  # It refuses settings that no experiment has.
        return path.stem, model
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigurationError(f"{path} does not describe a published model: {error}") from None


def of_model(name: str, model: PublishedModel) -> Named[ScoreExperiment]:
    """Returns the experiment of a published model."""
    return Named(name, published_experiment(model), model)
