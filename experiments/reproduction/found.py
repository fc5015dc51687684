"""What was found of an experiment or a study, and what it was found on: the rows of tables."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sde_jax.atomic import write_json
from sde_jax.training.errors import RunError

__all__ = ["Found", "computer", "revision"]

Environment = Mapping[str, Any]
"""See `sde_jax.training.versions.environment`."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The results of a name, plain values for JSON."""

    name: str
    results: Mapping[str, Any]
    minutes: float
    """Of training an experiment, evaluations and saving included, or of measuring a study."""
    computer: str
    commit: str
    """At which it was trained or, of a study, measured."""

    @property
    def command(self) -> str:
        """What finds it again."""
        return f"python -m experiments {self.name}"

    def write(self, folder: Path) -> None:
        """Writes ``<name>.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{self.name}.json", self.to_json())

    def to_json(self) -> dict[str, Any]:
        """All of it, with the command."""
        return {"command": self.command, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**{field.name: stored[field.name] for field in dataclasses.fields(cls)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote.

        Raises:
          RunError: if it is something else.
        """
        try:
            return cls.from_json(json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError):
            raise RunError(f"{path} is damaged: remove it, and reproduce it again") from None


def computer(environment: Environment) -> str:
    """The devices and JAX's version, in words."""
    if environment["device"] == "cpu":
        devices = f"{os.cpu_count()} CPU cores"
    else:
        devices = f"{environment['devices']} x {environment['device']}"
    return f"{devices}, jax {environment['packages']['jax']}"


def revision(environment: Environment) -> str:
    """The commit, abbreviated; with a plus if files had been changed."""
    git = environment["git"]
    return "unknown" if git is None else git["revision"][:7] + "+" * git["dirty"]
