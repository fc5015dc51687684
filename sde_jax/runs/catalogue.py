"""Experiments by their names: definitions in files, and published models.

A definition is a public function without parameters that returns an experiment, or a study where
its return type is ``Study``. Names are found by parsing the files. Only the file of the requested
name is imported.
"""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sde_jax.interop.configurations import published, published_names
from sde_jax.interop.published_model import PublishedModel
from sde_jax.json_files import read_json
from sde_jax.recipes import built_in
from sde_jax.recipes.definition_file import described, import_file
from sde_jax.recipes.named import Named
from sde_jax.recipes.published import published_experiment
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.recipes.serialization import ConfigurationError
from sde_jax.recipes.trainable import Trainable

FOLDER = Path("experiments")
"""The folder of definitions, below the working directory."""


@dataclass(frozen=True)
class Definition:
    """A function that returns an experiment or a study."""

    name: str
    file: Path
    description: str
    """Its docstring."""
    is_study: bool

    @property
    def headline(self) -> str:
        """The first line of its docstring."""
        return self.description.strip().partition("\n")[0]

    def value(self) -> Any:
        """Imports the file and calls the function.

        Raises:
          ConfigurationError: if the file or the function raises.
        """
        module = import_file(self.file)
        try:
            return getattr(module, self.name)()
        except (Exception, SystemExit) as error:
            raise ConfigurationError(
                f"{self.file}:{self.name} cannot be built: {described(error)}"
            ) from error


def definitions_in(file: Path) -> Iterator[Definition]:
    """Yields the definitions of a file, without importing it.

    Raises:
      ConfigurationError: if it cannot be read or parsed.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be parsed: {described(error)}") from None
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        if any(ast.iter_child_nodes(node.args)):
            continue
        returns = ast.unparse(node.returns) if node.returns else ""
        if returns == "None":
            continue
        yield Definition(node.name, file, ast.get_docstring(node) or "", returns == "Study")


def definitions() -> list[Definition]:
    """Returns the definitions of `FOLDER` and of the package, sorted by name.

    Files that start with ``_`` are left out, and so, with a warning, are those that cannot be
    parsed.
    """
    found = list(definitions_in(Path(built_in.__file__)))
    for file in sorted(FOLDER.glob("[!_]*.py")):
        try:
            found += definitions_in(file)
        except ConfigurationError as error:
            warnings.warn(f"{error} Its experiments are left out.", stacklevel=2)
    return sorted(found, key=lambda definition: definition.name)


def names() -> list[str]:
    """Returns the names of the experiments of `definitions`, in alphabetical order."""
    return [definition.name for definition in definitions() if not definition.is_study]


def find(reference: str) -> Named[Trainable]:
    """Finds an experiment.

    Args:
      reference: the name of a definition in `FOLDER`, ``FILE.py:NAME`` for one of any file, the
        name of a published model, or a .json file that describes one.

    Raises:
      ConfigurationError: if there is none, or it cannot be built.
    """
    if ".py" in reference:
        return of_definition(in_file(reference))
    known = definitions()
    matching = [definition for definition in known if definition.name == reference]
    if len(matching) > 1:
        places = ", ".join(f"{one.file}:{one.name}" for one in matching)
        raise ConfigurationError(f"{reference!r} is defined more than once: name one of {places}.")
    if matching and matching[0].is_study:
        raise ConfigurationError(
            f"{reference} is a study, and has no run: python -m experiments {reference}"
        )
    if matching:
        return of_definition(matching[0])
    if "/" in reference or reference.endswith(".json"):
        return of_model(*find_model(reference))
    there = ", ".join(one.name for one in known if not one.is_study)
    raise ConfigurationError(
        f"no experiment {reference!r}: there are {there}, published models such as "
        f"{published_names()[0]}, and FILE.py:NAME for your own: `list` shows them."
    )


def in_file(reference: str) -> Definition:
    """Finds the definition of ``FILE.py:NAME``.

    Raises:
      ConfigurationError: if there is none.
    """
    path, _, name = reference.rpartition(":")
    if not path.endswith(".py"):
        path, name = reference, ""
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigurationError(f"{file} does not exist: FILE.py:NAME names an experiment in it.")
    there = {definition.name: definition for definition in definitions_in(file)}
    if name not in there:
        listed = ", ".join(f"{path}:{one}" for one in there) or "none"
        raise ConfigurationError(
            f"{reference} names no function without parameters: there are {listed}."
        )
    return there[name]


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
      ConfigurationError: if there is none, or the file does not describe a `PublishedModel`.
    """
    if not name.endswith(".json"):
        try:
            return name, published(name)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
    path = Path(name)
    try:
        return path.stem, PublishedModel.from_fields(read_json(path))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigurationError(f"{path} does not describe a published model: {error}") from None


def of_model(name: str, model: PublishedModel) -> Named[ScoreExperiment]:
    """Returns the experiment of a published model."""
    return Named(name, published_experiment(model), model)
