"""An experiment with its name, as the configuration of a run stores it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from sde_jax.interop.published_model import PublishedModel
from sde_jax.recipes.serialization import (
    FORMAT,
    ConfigurationError,
    check_type,
    definition_files,
    from_config,
    to_config,
)
from sde_jax.recipes.trainable import Trainable
from sde_jax.validation import fits

Kind_co = TypeVar("Kind_co", bound=Trainable, covariant=True)


@dataclasses.dataclass(frozen=True)
class Named(Generic[Kind_co]):
    """An experiment and its name; for a published model, the model as well."""

    name: str
    experiment: Kind_co
    model: PublishedModel | None = None

    def config(self) -> dict[str, Any]:
        """Returns the configuration of a run of the experiment, plain values for JSON.

        Raises:
          ConfigurationError: if its classes are defined in more than one of the user's files.
        """
        files = sorted(map(str, definition_files(self.experiment)))
        if len(files) > 1:
            raise ConfigurationError(
                f"the classes of {self.name} must be defined in one file: got {', '.join(files)}."
            )
        file = {"file": files[0]} if files else {}
        model = {} if self.model is None else {"model": dataclasses.asdict(self.model)}
        experiment = to_config(self.experiment)
        return {"format": FORMAT, "name": self.name, **file, **model, "experiment": experiment}

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> "Named[Trainable]":
        """Builds the experiment that `config` described, in this format or an older one.

        Raises:
          ConfigurationError: if it is not the configuration of an experiment, or of a newer format.
        """
        if not isinstance(config, Mapping) or not {"name", "experiment"} <= config.keys():
            raise ConfigurationError("it has no `name` and `experiment`.")
        name, stored, model = config["name"], config["experiment"], config.get("model")
        version, file = config.get("format", 1), config.get("file")
        check_type(name, str, "name")
        if not fits(version, int) or version not in range(1, FORMAT + 1):
            raise ConfigurationError(
                f"`format` is {version!r}, and this version of sde_jax reads 1 to {FORMAT}: "
                "upgrade sde_jax to open it."
            )
        if not isinstance(file, str | None) or (file and not Path(file).is_absolute()):
            raise ConfigurationError(f"`file` must be an absolute path: got {file!r}.")
        own = None if file is None else Path(file)
        experiment = from_config(stored, "experiment", version=version, file=own)
        if not isinstance(experiment, Trainable):
            raise ConfigurationError("`experiment` is no experiment.")
        published = None if model is None else PublishedModel.from_fields(model)
        return Named(name, experiment, published)
