"""Silences orbax's logs and tracebacks about failures that we report in one line."""

import contextlib
import functools
import gc
import logging
import re
import sys
import threading
import types
from collections.abc import Iterator

from sde_jax.lines import first_line


@contextlib.contextmanager
def without_orbax_noise() -> Iterator[None]:
    """Drops orbax's log records and the complaints about objects it abandons after a failure.

    The complaints come when those objects are collected, which no stored error may delay.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    hook = sys.unraisablehook

    def filtered(unraisable: "sys.UnraisableHookArgs") -> None:
        if not is_abandoned_read(unraisable):
            hook(unraisable)

    for logger in loggers:
        logger.addFilter(is_not_from_orbax)
    sys.unraisablehook = filtered
    try:
        yield
    finally:
        gc.collect()
        sys.unraisablehook = hook
        for logger in loggers:
            logger.removeFilter(is_not_from_orbax)


def wait_for_threads(seconds: float = 60.0) -> None:
    """Waits for threads that orbax left running, as it does when one of several fails."""
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("orbax"):
            threading.Thread.join(thread, seconds)


OF_THE_SYSTEM = re.compile(
    "No space left on device|Disk quota exceeded|Input/output error|Permission denied|"
    "Read-only file system|Too many open files"
)
MISSING = re.compile("NOT_FOUND|not found|does not exist|No such file")
OTHER_ARRAYS = re.compile("tree structure|structure error|do not match|shape", re.IGNORECASE)


def reason_of(error: BaseException) -> str:
    """Returns why a checkpoint cannot be read, in words, without orbax's and TensorStore's own.

    It is a string because a stored error would keep orbax's objects alive.
    """
    hide_abandoned_reads()
    text = text_of(error)
    if OF_THE_SYSTEM.fullmatch(text):
        return text
    if MISSING.search(text):
        return "a part of it is missing"
    if OTHER_ARRAYS.search(text):
        return "its arrays are not those of the `network` in config.json"
    return "a part of it is damaged"


def text_of(error: BaseException) -> str:
    """Returns the message of the root cause of ``error`` in one line, without TensorStore's specs.

    An error of the system is named by its words alone.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if found := OF_THE_SYSTEM.search(str(error)):
        return found[0]
    return f"{type(error).__name__}: {first_line(str(error).split(' [tensorstore_spec')[0])}"


@functools.cache
def hide_abandoned_reads() -> None:
    """Drops what TensorStore prints when a read ends that orbax abandoned.

    That can be at any later time: the hook stays.
    """
    hook = sys.excepthook

    def filtered(
        kind: type[BaseException], error: BaseException, trace: types.TracebackType | None
    ) -> None:
        if str(error) != "Event loop is closed":
            hook(kind, error, trace)

    sys.excepthook = filtered


def is_not_from_orbax(record: logging.LogRecord) -> bool:
    """Returns whether a log record neither comes from orbax nor concerns its tasks."""
    said = record.getMessage()
    if record.exc_info:
        said += logging.Formatter().formatException(record.exc_info)
    return "orbax" not in record.pathname + said


def is_abandoned_read(unraisable: "sys.UnraisableHookArgs") -> bool:
    """Returns whether the object is a coroutine of orbax or an event loop closed under one."""
    if isinstance(unraisable.object, types.CoroutineType):
        return "orbax" in unraisable.object.cr_code.co_filename
    return str(unraisable.exc_value) == "Event loop is closed"
