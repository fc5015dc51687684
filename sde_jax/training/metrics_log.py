"""The numbers of a run, a line each, for people, programs and TensorBoard."""

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import jax
import PIL.Image
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import scalar

from sde_jax.reporting import report
from sde_jax.training.run_directory import RunDirectory, parse_line

__all__ = ["MetricsLog"]


class MetricsLog:
    """``metrics.jsonl`` and TensorBoard's event file of a run, both cut back to ``step``.

    Each line is an object with ``step`` (updates made) and numbers by name. Lines after ``step``
    and a last line without end are dropped, so that the file of a run that was killed and resumed
    reads as one of a run that never was. A line that cannot be written, because the disk is full,
    is kept and tried again with the next. TensorBoard's file repeats the lines; where it cannot be
    written it is given up.
    """

    def __init__(self, run: RunDirectory, step: int) -> None:
        self._path = run.metrics
        self._waiting = b""
        self._reported = False
        self._events: EventsWriter | None = None
        self._size = 0
        if jax.process_index() == 0:
            self._size = cut_after(self._path, step)
            self._open_events(run.logs, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write_events(lambda events: events.close())

    def write(self, step: int, values: dict[str, float]) -> None:
        """Adds a line."""
        if jax.process_index():
            return
        self._waiting += json.dumps({"step": step, **values}).encode() + b"\n"
        self.flush()

        def add(events: EventsWriter) -> None:
            for name, value in values.items():
                summary = scalar(name, value)
                events.write_event(Event(wall_time=time.time(), step=step, summary=summary))
            events.flush()

        self._write_events(add)

    def show(self, step: int, name: str, picture: Path) -> None:
        """Puts a PNG file into TensorBoard's log alone.

        Raises:
          OSError: if the file cannot be read.
        """
        if jax.process_index():
            return
        with PIL.Image.open(picture) as opened:
            width, height = opened.size
        image = Summary.Image(
            width=width, height=height, colorspace=3, encoded_image_string=picture.read_bytes()
        )
        summary = Summary(value=[Summary.Value(tag=name, image=image)])

        def add(events: EventsWriter) -> None:
            events.write_event(Event(wall_time=time.time(), step=step, summary=summary))
            events.flush()

        self._write_events(add)

    def flush(self) -> None:
        """Puts all lines on disk, as a checkpoint must find them."""
        if jax.process_index() or not self._waiting:
            return
        try:
            with self._path.open("r+b" if self._path.exists() else "xb") as file:
                file.truncate(self._size)
                file.seek(self._size)
                file.write(self._waiting)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if not self._reported:
                report(f"{self._path} cannot be written, and will be later: {error.strerror}")
            self._reported = True
            return
        self._size += len(self._waiting)
        self._waiting, self._reported = b"", False

    def _open_events(self, folder: Path, step: int) -> None:
        try:
            folder.mkdir(exist_ok=True)
            self._events = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        except OSError as error:
            report(f"{folder} cannot be written, TensorBoard will see nothing: {error.strerror}")
            return
        start = SessionLog(status=SessionLog.START)
        self._write_events(
            lambda events: events.write_event(
                Event(wall_time=time.time(), step=step + 1, session_log=start)
            )
        )

    def _write_events(self, action: Callable[[EventsWriter], object]) -> None:
        if self._events is None:
            return
        try:
            action(self._events)
        except OSError as error:
            report(f"TensorBoard's log cannot be written and ends here: {error.strerror}")
            self._events = None


def cut_after(path: Path, step: int) -> int:
    """Drops the lines of ``path`` that come after ``step``; returns the bytes that remain."""
    if not path.exists():
        return 0
    lines = path.read_bytes().splitlines(keepends=True)
    kept = 0
    for line in lines:
        if parse_line(line).get("step", math.inf) > step:
            break
        kept += len(line)
    with path.open("r+b") as file:
        file.truncate(kept)
    return kept
