"""Python files that define experiments, imported from anywhere on disk."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["ConfigurationError", "import_file"]


class ConfigurationError(ValueError):
    """A definition or a stored configuration cannot be used; the message names the remedy."""


def import_file(path: Path) -> ModuleType:
    """Imports a file as the module that Python would find by its name.

    A file in a package is imported as a part of it (``experiments.digits``), any other one by its
    stem. The folder that holds them joins ``sys.path`` at the end, so that data workers, which
    inherit the path, can import the module as well.

    Raises:
      ConfigurationError: if there is no such file, its name belongs to another module, or running
        it raises.
    """
    path = path.expanduser().resolve()
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist.")
    folder, name = path.parent, path.stem
    while (folder / "__init__.py").is_file():
        folder, name = folder.parent, f"{folder.name}.{name}"
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(f"{path} cannot be imported: {name!r} is no name of a module.")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    importlib.invalidate_caches()
    check_found(name, path)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{path} cannot be imported: {described(error)}") from error


def check_found(name: str, path: Path) -> None:
    """Raises ConfigurationError where the module ``name`` is another file than ``path``."""
    loaded = sys.modules.get(name)
    spec = importlib.util.find_spec(name) if loaded is None else loaded.__spec__
    origin = None if spec is None else spec.origin
    if origin is None or Path(origin).resolve() != path:
        raise ConfigurationError(
            f"{path} shadows the module {name!r} of {origin or 'Python'}: rename the file."
        )


def described(error: BaseException) -> str:
    """The type and message of an exception, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
