"""The metrics of a run, in a file of JSON lines and in TensorBoard."""

import contextlib
import itertools
import json
import math
import os
import time
from pathlib import Path
from typing import Self

import jax
import PIL.Image
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import scalar

from sde_jax.reporting import report
from sde_jax.training.metrics_lines import finished_lines, parse_line
from sde_jax.training.run_directory import RunDirectory


class MetricsLog:
    """``metrics.jsonl`` and TensorBoard's event file of a run, both cut back to ``step``.

    Each line is an object with ``step`` (updates made) and numbers by name. Lines after ``step``
    and an unfinished last line are dropped, so that a run that was killed and resumed has the same
    file as an uninterrupted one. A line that cannot be written because the disk is full is retried
    with the next. TensorBoard's file repeats the lines and is abandoned after a failed write.
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

    def __exit__(self, *error: object) -> None:
        if self._events is not None:
            with contextlib.suppress(OSError):
                self._events.close()

    def write(self, step: int, values: dict[str, float]) -> None:
        """Appends a line."""
        if jax.process_index():
            return
        self._waiting += json.dumps({"step": step, **values}).encode() + b"\n"
        self.flush()
        scalars = [scalar(name, value).value[0] for name, value in values.items()]
        self._add_event(step, summary=Summary(value=scalars))

    def show(self, step: int, name: str, picture: Path) -> None:
        """Adds a PNG file to TensorBoard's log only.

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
        self._add_event(step, summary=Summary(value=[Summary.Value(tag=name, image=image)]))

    def flush(self) -> None:
        """Writes all lines to disk, as required before a checkpoint."""
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
                report(f"{self._path} cannot be written, retrying later: {error.strerror}")
            self._reported = True
            return
        self._size += len(self._waiting)
        self._waiting, self._reported = b"", False

    def _open_events(self, folder: Path, step: int) -> None:
        try:
            folder.mkdir(exist_ok=True)
            self._events = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        except OSError as error:
            report(f"{folder} cannot be written, TensorBoard gets no log: {error.strerror}")
            return
        self._add_event(step + 1, session_log=SessionLog(status=SessionLog.START))

    def _add_event(self, step: int, **content: Summary | SessionLog) -> None:
        if self._events is None:
            return
        try:
            self._events.write_event(Event(wall_time=time.time(), step=step, **content))
            self._events.flush()
        except OSError as error:
            report(f"TensorBoard's log cannot be written and ends here: {error.strerror}")
            self._events = None


def cut_after(path: Path, step: int) -> int:
    """Drops the lines of ``path`` after ``step``; returns the remaining number of bytes."""
    if not path.exists():
        return 0
    lines = finished_lines(path)
    remaining = itertools.takewhile(lambda x: parse_line(x).get("step", math.inf) <= step, lines)
    size = sum(len(line) + 1 for line in remaining)
    with path.open("r+b") as file:
        file.truncate(size)
    return size
