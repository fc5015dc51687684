"""Definitions of experiments and studies, by their names, without importing them.

A definition is a public function without parameters that returns an experiment, or a study where
its return type is ``Study``. Names are found by parsing the files.
"""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sde_jax import recipes
from sde_jax.interop.configurations import published_names
from sde_jax.recipes.definition_file import ConfigurationError, described, import_file

BUILT_IN = Path(recipes.__path__[0]) / "built_in.py"
"""The file of the definitions that come with the package."""

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
    found = list(definitions_in(BUILT_IN))
    for file in sorted(FOLDER.glob("[!_]*.py")):
        try:
            found += definitions_in(file)
        except ConfigurationError as error:
            warnings.warn(f"{error} Its experiments are left out.", stacklevel=2)
    return sorted(found, key=lambda definition: definition.name)


def names() -> list[str]:
    """Returns the names of the experiments of `definitions`, in alphabetical order."""
    return [definition.name for definition in definitions() if not definition.is_study]


def locate(reference: str) -> Definition | None:
    """Returns the definition of an experiment; None for the name or the file of a published model.

    Args:
      reference: as for `sde_jax.runs.find`.

    Raises:
      ConfigurationError: if there is none.
    """
    if ".py" in reference:
        return in_file(reference)
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
        return matching[0]
    if "/" in reference or reference.endswith(".json"):
        return None
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
