"""The folder of a run: configuration, environment, metrics, checkpoints and pictures."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Set as AbstractSet
from pathlib import Path
from typing import Any, Self

import jax

from sde_jax.atomic import TEMPORARY_SUFFIX, new_folders, write_json
from sde_jax.json_files import DamagedFileError, read_json
from sde_jax.training.errors import ConfigChangedError, NotARunError, RunError, RunExistsError
from sde_jax.training.metrics_lines import check_lines, finished_lines, parse_line
from sde_jax.training.processes import raise_on_all
from sde_jax.training.run_config import read_config
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
        self.versions = path / "versions.json"
        """File of the environments of the run."""

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
        """Raises RunError unless ``path`` can hold a new run."""
        path = Path(path)
        check_name(path)
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
        check_name(path)
        check_lines(run.metrics)
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
          NotARunError: if there is no run, its configuration cannot be read, or a file stands in
            the place of one of its folders.
        """
        path = Path(path)
        run = cls(path, read_config(path))
        for folder in (run.checkpoints, run.unreadable, run.pictures):
            if os.path.lexists(folder) and not folder.is_dir():
                raise NotARunError(f"{folder} must be a folder: move that file away")
        return run

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
        """Returns the lines of the metrics file, without an unfinished one and damaged ones."""
        return list(filter(None, self.parsed_lines()))

    def parsed_lines(self) -> list[dict[str, Any]]:
        """Returns the finished lines of the metrics file; a damaged one is empty."""
        return list(map(parse_line, finished_lines(self.metrics)))

    def _write(self) -> Self:
        try:
            with new_folders(self.path), locked(self.path):
                self._write_files(is_new=not (self.path / "config.json").exists())
        except OSError as error:
            raise RunError(f"{self.path} cannot be written: {error.strerror}") from error
        return self

    def _write_files(self, *, is_new: bool) -> None:
        config = self.path / "config.json"
        try:
            earlier, present = self._read_versions(), environment()
            write_json(config, self.config)
            if present not in earlier[-1:]:
                write_json(self.versions, [*earlier, present])
        except OSError:
            for path in (config, self.versions, self.path / LOCK) if is_new else ():
                path.unlink(missing_ok=True)
            raise

    def _read_versions(self) -> list[Any]:
        earlier = read_json(self.versions) if self.versions.exists() else []
        if not isinstance(earlier, list):
            raise DamagedFileError(
                f"{self.versions} is damaged: it must be a list; delete the file to continue"
            )
        return earlier


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


def check_name(path: Path) -> None:
    """Raises RunError for a path in which no checkpoint can be written or read."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise RunError(
            f"the path of a run must be in UTF-8: got {path}; rename it, or set PYTHONUTF8=1 if "
            "your locale is another"
        ) from None


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
