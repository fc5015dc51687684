"""Experiments by their names, to JSON and back."""

import dataclasses
import importlib
import json
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import experiments
from experiments.kinds.score import Experiment
from experiments.kinds.trainable import Trainable
from experiments.published import published_experiment
from experiments.studies.study import Study
from sde_jax.interop.score_sde import PublishedModel, published, published_names


class ConfigurationError(ValueError):
    """A stored configuration does not fit the experiment that it names."""


Kind_co = TypeVar("Kind_co", bound=Trainable, covariant=True)


@dataclasses.dataclass(frozen=True)
class Named(Generic[Kind_co]):
    """An experiment and what it is called; of a published model, the model, too."""

    name: str
    experiment: Kind_co
    model: PublishedModel | None = None

    def config(self) -> dict[str, Any]:
        """All of it, for the configuration of a run."""
        model = {} if self.model is None else {"model": dataclasses.asdict(self.model)}
        return {"name": self.name, **model, "experiment": to_config(self.experiment)}

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> "Named[Trainable]":
        """The inverse of `config`.

        Raises:
          ConfigurationError: if it is not the configuration of an experiment.
        """
        try:
            name, stored, model = config["name"], config["experiment"], config.get("model")
        except (KeyError, TypeError, AttributeError):
            raise ConfigurationError("it has no `name` and `experiment`") from None
        default: Named[Trainable]
        if model is None:
            default = find(name)
        else:
            default = of_model(name, PublishedModel.from_json(json.dumps(model)))
        return Named(name, from_config(default.experiment, stored, "experiment"), default.model)


def to_config(spec: Any) -> Any:
    """A spec as JSON: each dataclass an object of its fields, with its class as ``type``."""
    if dataclasses.is_dataclass(spec):
        fields = {
            field.name: to_config(getattr(spec, field.name)) for field in dataclasses.fields(spec)
        }
        return {"type": type(spec).__name__, **fields}
    return [to_config(item) for item in spec] if isinstance(spec, tuple) else spec


def from_config(default: Any, config: Any, path: str = "") -> Any:
    """``default`` with the values of ``config``, which `to_config` made of a spec of its types.

    Raises:
      ConfigurationError: if a field or a type differs, or a value is out of range.
    """
    where = f"`{path}`" if path else "the configuration"
    if not dataclasses.is_dataclass(default) or isinstance(default, type):
        if isinstance(config, Mapping):
            raise ConfigurationError(f"{where} must not be an object: got {config!r}.")
        return tuple(config) if isinstance(config, list) else config
    names = {"type", *(field.name for field in dataclasses.fields(default))}
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
    return _modules_with("experiment", Trainable)


def study_names() -> list[str]:
    """The studies, in alphabetical order."""
    return _modules_with("study", Study)


def find_study(name: str) -> Study:
    """The study of this name, which is one of `study_names`."""
    return importlib.import_module(f"experiments.{name}").study


def find(name: str) -> Named[Trainable]:
    """The experiment of this name, or of the published model of this name, or in a file of one.

    Raises:
      ConfigurationError: if there is none.
    """
    if name in names():
        return Named(name, _value(name))
    if "/" in name or name.endswith(".json"):
        return of_model(*find_model(name))
    raise ConfigurationError(
        f"no experiment {name!r}: there are {', '.join(names())}, and published models such as "
        f"{published_names()[0]}: `list` shows them."
    )


def find_model(name: str) -> tuple[str, PublishedModel]:
    """The published model of this name, or that of a .json file, called like the file.

    Raises:
      ConfigurationError: if there is none, or the file is not one of a `PublishedModel`.
    """
    if not name.endswith(".json"):
        try:
            return name, published(name)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
    path = Path(name)
    try:
        return path.stem, PublishedModel.from_json(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigurationError(f"{path} does not describe a published model: {error}") from None


def of_model(name: str, model: PublishedModel) -> Named[Experiment]:
    """The experiment of a published model."""
    return Named(name, published_experiment(model), model)


def find_report(name: str) -> Callable[[Any], dict[str, Any]] | None:
    """The function ``report`` of the experiment's module, which measures a trained run, if any."""
    if name not in names():
        return None
    return getattr(importlib.import_module(f"experiments.{name}"), "report", None)


def description(name: str) -> str:
    """What the experiment's module says of itself."""
    return importlib.import_module(f"experiments.{name}").__doc__ or ""


def _modules_with(field: str, kind: type) -> list[str]:
    """The modules of experiments that have a value of this kind and name."""
    modules = (module.name for module in pkgutil.iter_modules(experiments.__path__))
    return sorted(
        name for name in modules if name[0] != "_" and isinstance(_value(name, field), kind)
    )


def _value(name: str, field: str = "experiment") -> Any:
    return getattr(importlib.import_module(f"experiments.{name}"), field, None)
