"""Experiments to JSON and back."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

import experiments
from experiments.experiment import Experiment


class ConfigurationError(ValueError):
    """A stored configuration does not fit the experiment that it names."""


def to_config(spec: Any) -> Any:
    """A spec as JSON: each dataclass an object of its fields, with its class as ``type``."""
    if dataclasses.is_dataclass(spec):
        fields = {
            field.name: to_config(getattr(spec, field.name)) for field in dataclasses.fields(spec)
        }
        return {"type": type(spec).__name__, **fields}
    return list(spec) if isinstance(spec, tuple) else spec


def from_config(default: Any, config: Any, path: str = "") -> Any:
    """``default`` with the values of ``config``, which `to_config` made of a spec of its types.

    Raises:
      ConfigurationError: if a field or a type differs, or a value is out of range.
    """
    if not dataclasses.is_dataclass(default) or isinstance(default, type):
        return tuple(config) if isinstance(config, list) else config
    names = {"type", *(field.name for field in dataclasses.fields(default))}
    where = f"`{path}`" if path else "the configuration"
    if not isinstance(config, Mapping):
        raise ConfigurationError(f"{where} must be an object: got {config!r}.")
    for name in sorted(names ^ set(config)):
        problem = "lacks the field" if name in names else "has an unknown field"
        raise ConfigurationError(f"{where} {problem} `{name}`.")
    if config["type"] != type(default).__name__:
        raise ConfigurationError(
            f"{where} must be a {type(default).__name__}: got {config['type']}."
        )
    values = {
        name: from_config(getattr(default, name), config[name], f"{path}.{name}".lstrip("."))
        for name in names - {"type"}
    }
    try:
        return dataclasses.replace(default, **values)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{where} is not a {type(default).__name__}: {error}") from error


def names() -> list[str]:
    """The experiments, in alphabetical order."""
    modules = (module.name for module in pkgutil.iter_modules(experiments.__path__))
    return sorted(name for name in modules if isinstance(_value(name), Experiment))


def find(name: str) -> Experiment:
    """The experiment of this name.

    Raises:
      ConfigurationError: if there is none.
    """
    if name not in names():
        raise ConfigurationError(f"no experiment {name!r}: there are {', '.join(names())}.")
    return _value(name)


def find_report(name: str) -> Callable[[Any], dict[str, Any]] | None:
    """The function ``report`` of the experiment's module, which measures a trained run, if any."""
    return getattr(importlib.import_module(f"experiments.{name}"), "report", None)


def description(name: str) -> str:
    """What the experiment's module says of itself."""
    return importlib.import_module(f"experiments.{name}").__doc__ or ""


def _value(name: str) -> Any:
    if name.startswith("_"):
        return None
    return getattr(importlib.import_module(f"experiments.{name}"), "experiment", None)
