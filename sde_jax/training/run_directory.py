"""A run's folder: what was asked for, what it was made with, and what came out."""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Self

import jax

from sde_jax.atomic import TEMPORARY_SUFFIX, write_json
from sde_jax.training.errors import ConfigChangedError, NotARunError, RunError, RunExistsError
from sde_jax.training.lock import LOCK, locked
from sde_jax.training.processes import agreed
from sde_jax.training.versions import environment

__all__ = ["RunDirectory", "normal"]


class RunDirectory:
    """The files of one run.

    ``config.json``: the configuration; it is written first, and makes a folder a run.
    ``versions.json``: a list, one entry for each environment the run has been in, the latest last.
    ``metrics.jsonl``: see `MetricsLog`. ``logs/``: the same for TensorBoard.
    ``checkpoints/<step>/``, ``pictures/``; ``unreadable/<step>/``: damaged checkpoints that were
    passed over. ``lock``: locked while a trainer is at work. Only the first process writes.

    Make one by `create`, `resume` or `open`.
    """

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any]) -> Self:
        """A new run in a folder that is not there, or empty.

        Raises:
          RunExistsError: if it is neither.
          RunError: if nothing can be written there, or a trainer is at work.
        """
        return cls._made_by_first(path, lambda: cls._create(path, config))

    @staticmethod
    def check_free(path: str | Path) -> None:
        """Raises RunExistsError unless a new run can be made in ``path``."""
        path = Path(path)
        if holds_anything(path):
            if (path / "config.json").is_file():
                raise RunExistsError(f"{path} holds a run already: --resume continues it")
            raise RunExistsError(f"{path} is not empty and holds no run: choose another folder")

    @classmethod
    def resume(
        cls,
        path: str | Path,
        config: Mapping[str, Any],
        *,
        changeable: AbstractSet[str] = frozenset(),
        current: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
    ) -> Self:
        """The run in ``path`` if there is one, else a new one.

        Args:
          config: as `create` had it, but for the fields in ``changeable``, which it renews.
          changeable: dotted paths of fields, like ``"training.steps"``, or of mappings as a whole.
          current: converts a stored configuration of an older format to the format of ``config``.

        Raises:
          ConfigChangedError: if another field differs.
          RunExistsError: if the folder holds something that is no run.
          RunError: as for `create`.
        """
        return cls._made_by_first(
            path, lambda: cls._resume(Path(path), config, changeable, current)
        )

    @classmethod
    def _made_by_first(cls, path: str | Path, make: Callable[[], Self]) -> Self:
        """What ``make`` makes in the first process; the others open it when it is there."""
        made = agreed(lambda: None if jax.process_index() else make())
        return agreed(lambda: made or cls.open(path))

    @classmethod
    def _create(cls, path: str | Path, config: Mapping[str, Any]) -> Self:
        cls.check_free(path)
        return cls(Path(path), normal(config))._write()

    @classmethod
    def _resume(
        cls,
        path: Path,
        config: Mapping[str, Any],
        changeable: AbstractSet[str],
        current: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    ) -> Self:
        if not (path / "config.json").is_file():
            return cls._create(path, config)
        run = cls.open(path)
        old, new = dict(fields(normal(current(run.config)))), dict(fields(normal(config)))
        changes = [
            f"`{name}` from {shown(old, name)} to {shown(new, name)}"
            for name in {**old, **new}
            if not within(name, changeable) and shown(old, name) != shown(new, name)
        ]
        if changes:
            raise ConfigChangedError(
                f"--resume continues the run in {path} as it was started, but this would change "
                f"{', '.join(changes)}; start a new run in another folder instead"
            )
        return cls(path, normal(config))._write()

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """An existing run, to be read.

        Raises:
          NotARunError: if there is none, or its configuration cannot be read.
        """
        path = Path(path)
        try:
            config = json.loads((path / "config.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise NotARunError(f"{path} holds no run: it has no config.json") from None
        except ValueError:
            raise NotARunError(f"{path / 'config.json'} is damaged: it is not JSON") from None
        return cls(path, config)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other trainers out while the context lasts.

        Raises:
          RunError: if one is at work, in any process if there are several.
        """
        with contextlib.ExitStack() as held:
            agreed(lambda: None if jax.process_index() else held.enter_context(locked(self.path)))
            yield

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints, one folder each, named by the step."""
        return self.path / "checkpoints"

    @property
    def unreadable(self) -> Path:
        """Folder of the checkpoints that could not be read and were passed over."""
        return self.path / "unreadable"

    @property
    def pictures(self) -> Path:
        """Folder of the pictures; whoever draws one makes it."""
        return self.path / "pictures"

    @property
    def logs(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "logs"

    @property
    def metrics(self) -> Path:
        """File of the metrics, one JSON object a line."""
        return self.path / "metrics.jsonl"

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines of the metrics file, up to one that is cut off, damaged or half written."""
        if not self.metrics.is_file():
            return []
        parsed = map(parse_line, self.metrics.read_bytes().splitlines(keepends=True))
        return list(itertools.takewhile(bool, parsed))

    def _write(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with locked(self.path):
                write_json(self.path / "config.json", self.config)
                self._write_versions(self.path / "versions.json")
        except OSError as error:
            raise RunError(f"{self.path} cannot be written: {error.strerror}") from error
        return self

    def _write_versions(self, path: Path) -> None:
        present = environment()
        earlier = json.loads(path.read_text()) if path.is_file() else []
        if present not in earlier[-1:]:
            write_json(path, [*earlier, present])


def parse_line(line: bytes) -> dict[str, Any]:
    """A line of the metrics file; empty for one that is cut off or damaged."""
    try:
        value = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) and "step" in value else {}


def holds_anything(path: Path) -> bool:
    """Whether ``path`` holds more than a kill leaves of an unfinished `RunDirectory.create`."""
    if not path.exists():
        return False
    if not path.is_dir():
        return True
    left = {LOCK, "config.json" + TEMPORARY_SUFFIX}
    return any(entry.name not in left for entry in path.iterdir())


def normal(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` as it would be read back: tuples are lists, keys are strings."""
    return json.loads(json.dumps(config))


def fields(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of each field that is not itself a mapping."""
    for name, value in config.items():
        if isinstance(value, dict) and value:
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def within(name: str, paths: AbstractSet[str]) -> bool:
    """Whether a dotted path is one of ``paths``, or leads into one."""
    parts = name.split(".")
    return any(".".join(parts[:length]) in paths for length in range(1, len(parts) + 1))


def shown(values: Mapping[str, Any], name: str) -> str:
    """A field's value in a message."""
    return json.dumps(values[name]) if name in values else "nothing"
