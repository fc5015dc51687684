"""The folder of a run: configuration, environment, metrics, checkpoints and pictures."""

import contextlib
import fcntl
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Set as AbstractSet
from pathlib import Path
from typing import Any, Self

import jax

from sde_jax.atomic import TEMPORARY_SUFFIX, write_json
from sde_jax.training.errors import ConfigChangedError, NotARunError, RunError, RunExistsError
from sde_jax.training.processes import raise_on_all
from sde_jax.training.versions import environment

LOCK = "lock"
"""The empty file in a run directory that its trainer locks; it is never deleted."""


class RunDirectory:
    """The files of one run.

    ``config.json``: the configuration; it is written first and marks the folder as a run.
    ``versions.json``: a list with an entry for each environment of the run, the latest last.
    ``metrics.jsonl``: see `MetricsLog`. ``logs/``: the same for TensorBoard.
    ``checkpoints/<step>/``, ``pictures/``; ``unreadable/<step>/``: damaged checkpoints that were
    skipped. ``lock``: locked during training. Only the first process writes.

    Use `create`, `resume` or `open`.
    """

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self.checkpoints = path / "checkpoints"
        """Folder of the checkpoints, each in a folder named by its step."""
        self.unreadable = path / "unreadable"
        """Folder of the checkpoints that could not be read and were skipped."""
        self.pictures = path / "pictures"
        """Folder of the pictures; the first picture creates it."""
        self.logs = path / "logs"
        """Folder of TensorBoard's event files."""
        self.metrics = path / "metrics.jsonl"
        """File of the metrics, one JSON object a line."""

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any]) -> Self:
        """Creates a run in a folder that does not exist or is empty.

        Raises:
          RunExistsError: if the folder is not empty.
          RunError: if it is not writable, or another process trains there.
        """
        return cls._made_by_first(path, lambda: cls._create(path, config))

    @staticmethod
    def check_free(path: str | Path) -> None:
        """Raises RunExistsError unless ``path`` can hold a new run."""
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
        """Opens the run in ``path`` if it exists, and creates it otherwise.

        Args:
          path: the folder.
          config: the configuration; it may differ from the stored one in ``changeable`` fields,
            whose new values are stored.
          changeable: dotted paths of fields, like ``"training.steps"``, or of whole mappings.
          current: converts a stored configuration of an older format to the format of ``config``.

        Raises:
          ConfigChangedError: if another field differs.
          RunExistsError: if the folder contains files but no run.
          RunError: as for `create`.
        """
        return cls._made_by_first(
            path, lambda: cls._resume(Path(path), config, changeable, current)
        )

    @classmethod
    def _made_by_first(cls, path: str | Path, make: Callable[[], Self]) -> Self:
        """Calls ``make`` in the first process; the others open its result."""
        made = raise_on_all(lambda: None if jax.process_index() else make())
        return raise_on_all(lambda: made or cls.open(path))

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
                f"--resume cannot change the configuration of the run in {path}: "
                f"{', '.join(changes)}; start a new run in another folder instead"
            )
        return cls(path, normal(config))._write()

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Opens an existing run for reading.

        Raises:
          NotARunError: if there is no run, or its configuration cannot be read.
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
        """Keeps other trainers out until the context ends.

        Raises:
          RunError: if another process trains in this folder, in all processes.
        """
        with contextlib.ExitStack() as held:
            raise_on_all(
                lambda: None if jax.process_index() else held.enter_context(locked(self.path))
            )
            yield

    def read_metrics(self) -> list[dict[str, Any]]:
        """Returns the lines of the metrics file up to the first unfinished or damaged one."""
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


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Locks the folder ``path`` until the context ends or the process dies.

    On a filesystem without locks it has no effect.

    Raises:
      RunError: if another process holds the lock.
    """
    with (path / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"{path} is being trained by another process: wait until that ends, or choose "
                "another folder"
            ) from None
        except OSError:
            pass
        yield


def parse_line(line: bytes) -> dict[str, Any]:
    """Parses a line of the metrics file; returns an empty dict if it is unfinished or damaged."""
    try:
        value = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) and "step" in value else {}


def holds_anything(path: Path) -> bool:
    """Returns whether ``path`` has more files than an interrupted `RunDirectory.create` leaves."""
    if not path.exists():
        return False
    if not path.is_dir():
        return True
    left = {LOCK, "config.json" + TEMPORARY_SUFFIX}
    return any(entry.name not in left for entry in path.iterdir())


def normal(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns ``config`` as JSON reads it back: tuples become lists, keys become strings."""
    return json.loads(json.dumps(config))


def fields(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields dotted path and value of each field that is not itself a mapping."""
    for name, value in config.items():
        if isinstance(value, dict) and value:
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def within(name: str, paths: AbstractSet[str]) -> bool:
    """Returns whether a dotted path is one of ``paths`` or lies within one."""
    parts = name.split(".")
    return any(".".join(parts[:length]) in paths for length in range(1, len(parts) + 1))


def shown(values: Mapping[str, Any], name: str) -> str:
    """Formats a field's value for a message."""
    return json.dumps(values[name]) if name in values else "nothing"
