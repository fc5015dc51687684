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

from sde_jax.recipes.definition_file import ConfigurationError, described, import_file, origin_of
from sde_jax.validation import fits, shown

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
"""Former defaults: the last version that had one, class, field and value.

A configuration of that version or an older one that lacks the field takes this value. The classes
are named as in configurations (``sde_jax.sde.VP``).
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
    if is_ours(kind):
        return f"sde_jax.{kind.__module__.split('.')[1]}.{kind.__name__}"
    return f"{file_of(kind).name}:{kind.__name__}"


def is_ours(kind: type) -> bool:
    """Returns whether a class is one of the package."""
    return kind.__module__.startswith("sde_jax.")


def file_of(kind: type) -> Path:
    """Returns the file that defines a class.

    Raises:
      ConfigurationError: if it is not defined at the top level of a file.
    """
    module = sys.modules.get(kind.__module__)
    file = None if module is None else origin_of(module)
    if file is None or kind.__qualname__ != kind.__name__:
        raise ConfigurationError(
            f"the class {kind.__qualname__} must be defined at the top level of a file."
        )
    return file


def definition_files(spec: Any) -> set[Path]:
    """Returns the files outside the package whose classes a spec is built from."""
    if isinstance(spec, tuple):
        return set().union(*map(definition_files, spec))
    if not dataclasses.is_dataclass(spec):
        return set()
    values = [getattr(spec, field.name) for field in dataclasses.fields(spec)]
    return definition_files(tuple(values)) | (
        set() if is_ours(type(spec)) else {file_of(type(spec))}
    )


def from_config(config: Any, path: str, *, version: int = FORMAT, file: Path | None = None) -> Any:
    """Builds the spec of a configuration that `to_config` made.

    Fields that the configuration lacks take their defaults.

    Args:
      config: the plain values.
      path: its name in messages, such as ``experiment``.
      version: the format of the configuration.
      file: the file whose classes may be named besides those of the package.

    Raises:
      ConfigurationError: if a field is unknown, a class is of another origin, or a value does not
        fit.
    """
    if isinstance(config, list):
        return tuple(from_config(item, path, version=version, file=file) for item in config)
    if not isinstance(config, Mapping):
        return config
    kind = class_named(config.get("type"), path, version, file)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    unknown = sorted(set(config) - set(fields) - {"type"})
    if unknown:
        raise ConfigurationError(f"`{path}` has an unknown field `{unknown[0]}`.")
    hints = hints_of(kind)
    values = former_defaults(kind, version)
    for name in set(fields) & set(config):
        where = f"{path}.{name}"
        values[name] = from_config(config[name], where, version=version, file=file)
        check_type(values[name], hints[name], where)
    lacking = [name for name in fields if name not in values and is_required(fields[name])]
    if lacking:
        raise ConfigurationError(f"`{path}` lacks the field `{lacking[0]}`, which has no default.")
    try:
        return kind(**values)
    except Exception as error:  # A class of the user's file can raise any.
        raise ConfigurationError(f"`{path}` is not a {kind.__name__}: {error}") from error


def former_defaults(kind: type, version: int) -> dict[str, Any]:
    """Returns the defaults of a class in a version, where they have changed since."""
    newest_first = sorted(CHANGED_DEFAULTS, key=lambda changed: changed[0], reverse=True)
    return {
        name: value
        for last, owner, name, value in newest_first
        if version <= last and owner == class_name(kind)
    }


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Returns whether a field has no default."""
    return field.default is field.default_factory is dataclasses.MISSING


def hints_of(kind: type) -> dict[str, Any]:
    """Returns the types of the fields of a class.

    Raises:
      ConfigurationError: if an annotation cannot be evaluated.
    """
    try:
        return typing.get_type_hints(kind)
    except Exception as error:
        raise ConfigurationError(
            f"the annotations of {class_name(kind)} cannot be read: {described(error)}"
        ) from error


def check_type(value: Any, hint: Any, path: str) -> None:
    """Raises ConfigurationError if a value is not of the type of its field."""
    if fits(value, hint):
        return
    got = type(value).__name__ if dataclasses.is_dataclass(value) else shown(value)
    wanted = f"of type {hint.__name__ if isinstance(hint, type) else hint}"
    if typing.get_origin(hint) is typing.Literal:
        wanted = f"one of {', '.join(map(str, typing.get_args(hint)))}"
    raise ConfigurationError(f"`{path}` must be {wanted}: got {got}.")


def class_named(name: Any, path: str, version: int, file: Path | None) -> type:
    """Returns the dataclass of a name that `class_name` or version 1 made.

    Raises:
      ConfigurationError: if neither the package nor ``file`` has a dataclass of that name.
    """
    if not isinstance(name, str):
        raise ConfigurationError(f"`{path}` must be an object with a `type`: got {name!r}.")
    owner, _, own = name.rpartition(":")
    if owner and file is not None and owner == file.name:
        kind = class_in_file(own, path, file)
    elif version == 1:
        kind = class_of_version_1(name)
    else:
        kind = exported_class(name)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        origin = "sde_jax" if file is None else f"sde_jax or {file}"
        raise ConfigurationError(f"`{path}` must be of a dataclass of {origin}: got {name}.")
    return kind


def class_in_file(name: str, path: str, file: Path) -> Any:
    """Returns the class ``name`` of a file, if it defines one.

    Raises:
      ConfigurationError: if the file cannot be imported.
    """
    if not file.is_file():
        raise ConfigurationError(
            f"`{path}` is a {name} of {file}, which does not exist: correct the `file` of the "
            "configuration."
        )
    module = import_file(file)
    found = getattr(module, name, None)
    return found if getattr(found, "__module__", None) == module.__name__ else None


def exported_class(name: str) -> Any:
    """Returns the export of a package of `PACKAGES` with a name like ``sde_jax.sde.VP``, if any."""
    package, _, own = name.rpartition(".")
    if package not in {f"sde_jax.{part}" for part in PACKAGES}:
        return None
    return getattr(importlib.import_module(package), own, None)


@functools.cache
def class_of_version_1(name: str) -> Any:
    """Returns the class ``name``, without its package, from the first package that exports it."""
    name = RENAMED.get(name, name)
    found = (exported_class(f"sde_jax.{part}.{name}") for part in PACKAGES)
    return next((kind for kind in found if kind is not None), None)
