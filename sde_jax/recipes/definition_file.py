"""Python files that define experiments, imported from anywhere on disk."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


class ConfigurationError(ValueError):
    """A definition or a stored configuration cannot be used; the message names the remedy."""


def import_file(path: Path) -> ModuleType:
    """Imports a file as the module that Python would find by its name.

    A file in a package is imported as a part of it (``experiments.digits``), any other file by its
    stem. The folder above is appended to ``sys.path``: data workers inherit the path and can import
    the module as well. The running script is not imported a second time.

    Raises:
      ConfigurationError: if there is no such file, its name belongs to another module, or running
        it raises.
    """
    path = path.expanduser().resolve()
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist.")
    script = sys.modules["__main__"]
    if origin_of(script) == path:
        return script
    folder, name = path.parent, path.stem
    while (folder / "__init__.py").is_file():
        folder, name = folder.parent, f"{folder.name}.{name}"
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(f"{path} cannot be imported: {name!r} is not a module name.")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    importlib.invalidate_caches()
    try:
        check_found(name, path)
        return importlib.import_module(name)
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{path} cannot be imported: {described(error)}") from error


def check_found(name: str, path: Path) -> None:
    """Raises ConfigurationError unless the module ``name`` is the file ``path``."""
    if name in sys.modules:
        origin = origin_of(sys.modules[name])
    else:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
    if origin != path:
        raise ConfigurationError(
            f"{path} shadows the module {name!r} of {origin or 'Python'}: rename the file."
        )


def origin_of(module: ModuleType) -> Path | None:
    """Returns the file of a module, if it has one."""
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file).resolve()


def described(error: BaseException) -> str:
    """Returns the type and message of an exception, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
