"""Silences orbax's logs and tracebacks about failures that we report in one line."""

import contextlib
import gc
import logging
import sys
import threading
import types
from collections.abc import Iterator

from sde_jax.reporting import first_line


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


def reason_of(error: BaseException) -> str:
    """Returns the message of the root cause of ``error`` in one line, without TensorStore's specs.

    It is a string because a stored error would keep orbax's objects alive.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {first_line(str(error).split(' [tensorstore_spec')[0])}"


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
