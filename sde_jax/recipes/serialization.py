"""Experiments as JSON values, and back.

A dataclass becomes an object of its fields with its class as ``type``: ``sde_jax.sde.VP`` names a
class by the package that exports it, ``my.py:Stripes`` one of the file that defines the experiment.
A configuration is read, never executed: only dataclasses of these two origins are built.
"""

import dataclasses
import functools
import importlib
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typeguard

from sde_jax.recipes.definition_file import ConfigurationError, import_file

__all__ = ["FORMAT", "ConfigurationError", "definition_files", "from_config", "to_config"]

FORMAT = 2
"""Version of the format. Version 1 named classes without their package."""

PACKAGES = (
    *("sde", "nets", "data", "score", "objectives", "baselines", "training", "recipes"),
    "likelihood",
)
"""Packages whose dataclasses a configuration may name."""

RENAMED = {"Experiment": "ScoreExperiment"}
"""Classes of version 1 by their present names."""

CHANGED_DEFAULTS: tuple[tuple[int, str, str, Any], ...] = ()
"""Defaults that have changed: the last version that had one, class, field and value.

A configuration of that version or an older one that lacks the field takes this value.
"""


def to_config(spec: Any) -> Any:
    """Converts a spec to plain values for JSON."""
    if dataclasses.is_dataclass(spec):
        fields = {
            field.name: to_config(getattr(spec, field.name)) for field in dataclasses.fields(spec)
        }
        return {"type": class_name(type(spec)), **fields}
    return [to_config(item) for item in spec] if isinstance(spec, tuple) else spec


def class_name(kind: type) -> str:
    """Returns the name of a class in configurations."""
    top, *packages = kind.__module__.split(".")
    if top == "sde_jax":
        return f"sde_jax.{packages[0]}.{kind.__name__}"
    return f"{file_of(kind).name}:{kind.__name__}"


def file_of(kind: type) -> Path:
    """Returns the file that defines a class."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None:
        raise ConfigurationError(f"{kind.__qualname__} must be defined in a file.")
    return Path(file).resolve()


def definition_files(spec: Any) -> set[Path]:
    """Returns the files outside the package whose classes a spec is built from."""
    if isinstance(spec, tuple):
        return set().union(*map(definition_files, spec))
    if not dataclasses.is_dataclass(spec):
        return set()
    values = [getattr(spec, field.name) for field in dataclasses.fields(spec)]
    own = type(spec).__module__.partition(".")[0] != "sde_jax"
    return definition_files(tuple(values)) | ({file_of(type(spec))} if own else set())


def from_config(config: Any, path: str, *, version: int = FORMAT, file: Path | None = None) -> Any:
    """Builds the spec that `to_config` described.

    Fields that the configuration lacks take their defaults.

    Args:
      config: the plain values.
      path: what messages call it, such as ``experiment``.
      version: the format of the configuration.
      file: the file whose classes may be named beside those of the package.

    Raises:
      ConfigurationError: if a field is unknown, a class is of another origin, or a value does not
        fit.
    """
    if isinstance(config, list):
        return tuple(from_config(item, path, version=version, file=file) for item in config)
    if not isinstance(config, Mapping):
        return config
    kind = class_named(config.get("type"), path, version, file)
    fields = {field.name for field in dataclasses.fields(kind) if field.init}
    unknown = sorted(set(config) - fields - {"type"})
    if unknown:
        raise ConfigurationError(f"`{path}` has an unknown field `{unknown[0]}`.")
    values = {
        name: value
        for last, owner, name, value in CHANGED_DEFAULTS
        if version <= last
        if owner == kind.__name__
    }
    hints = typing.get_type_hints(kind)
    for name in fields & set(config):
        where = f"{path}.{name}"
        values[name] = from_config(config[name], where, version=version, file=file)
        check_type(values[name], hints[name], where)
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"`{path}` is not a {kind.__name__}: {error}") from error


def check_type(value: Any, hint: Any, path: str) -> None:
    """Raises ConfigurationError where a value is not of the type that its field states."""
    try:
        typeguard.check_type(value, hint)
    except typeguard.TypeCheckError:
        shown = type(value).__name__ if dataclasses.is_dataclass(value) else repr(value)
        wanted = getattr(hint, "__name__", None) or str(hint)
        raise ConfigurationError(f"`{path}` must be a {wanted}: got {shown}.") from None


def class_named(name: Any, path: str, version: int, file: Path | None) -> type:
    """Returns the dataclass of a name that `class_name` made, or that version 1 did.

    Raises:
      ConfigurationError: if there is none of that name in the package or in ``file``.
    """
    if not isinstance(name, str):
        raise ConfigurationError(f"`{path}` must be an object with a `type`: got {name!r}.")
    owner, _, own = name.rpartition(":")
    if owner and file is not None and owner == file.name:
        kind = getattr(import_file(file), own, None)
    elif version == 1:
        kind = class_of_version_1(name)
    else:
        package, _, own = name.rpartition(".")
        known = {f"sde_jax.{part}" for part in PACKAGES}
        kind = getattr(importlib.import_module(package), own, None) if package in known else None
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        origin = "sde_jax" if file is None else f"sde_jax or {file}"
        raise ConfigurationError(f"`{path}` must be of a dataclass of {origin}: got {name}.")
    return kind


@functools.cache
def class_of_version_1(name: str) -> type | None:
    """Returns the exported class that version 1 called ``name``."""
    name = RENAMED.get(name, name)
    packages = (importlib.import_module(f"sde_jax.{part}") for part in PACKAGES)
    return next((getattr(package, name) for package in packages if hasattr(package, name)), None)
