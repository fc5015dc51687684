"""Result of an experiment or a study, with the computer and the commit."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sde_jax.atomic import write_json
from sde_jax.training import RunError

Environment = Mapping[str, Any]
"""See `sde_jax.training.versions.environment`."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """Result of an experiment or a study, as plain values for JSON."""

    name: str
    results: Mapping[str, Any]
    minutes: float
    """Minutes of training, with evaluations and saving, or of measuring a study."""
    computer: str
    commit: str
    """Commit of the training or, for a study, of the measurement."""

    @property
    def command(self) -> str:
        """Returns the command that reproduces it."""
        return f"python -m experiments {self.name}"

    @classmethod
    def found(
        cls, name: str, results: Mapping[str, Any], minutes: float, environment: Environment
    ) -> Self:
        """Builds the result of what ran for these minutes in an environment."""
        return cls(
            name=name,
            results=results,
            minutes=round(minutes, 2),
            computer=computer(environment),
            commit=revision(environment),
        )

    def write(self, folder: Path) -> None:
        """Writes ``<name>.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{self.name}.json", self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Returns the fields and the command."""
        return {"command": self.command, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Builds the result that `to_json` described."""
        return cls(**{field.name: stored[field.name] for field in dataclasses.fields(cls)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file that `write` wrote.

        Raises:
          RunError: if the file holds something else.
        """
        try:
            return cls.from_json(json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError):
            raise RunError(f"{path} is damaged: remove it, and reproduce it again") from None


def computer(environment: Environment) -> str:
    """Describes the devices and the version of JAX."""
    if environment["device"] == "cpu":
        devices = f"{os.cpu_count()} CPU cores"
    else:
        devices = f"{environment['devices']} x {environment['device']}"
    return f"{devices}, jax {environment['packages']['jax']}"


def revision(environment: Environment) -> str:
    """Returns the abbreviated commit, with a plus sign if the working tree was dirty."""
    git = environment["git"]
    return "unknown" if git is None else git["revision"][:7] + "+" * git["dirty"]
