"""Keeps off stderr what orbax says, with tracebacks, about failures that we report in a line."""

import contextlib
import gc
import logging
import sys
import threading
import types
from collections.abc import Iterator

from sde_jax.reporting import first_line

__all__ = ["reason_of", "wait_for_threads", "without_orbax_noise"]


@contextlib.contextmanager
def without_orbax_noise() -> Iterator[None]:
    """Drops orbax's log records, and complaints about what it abandons when a read or write fails.

    Those come when the error is gone and what it refers to is collected; so keep no error of orbax.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    hook = sys.unraisablehook

    def ours(unraisable: "sys.UnraisableHookArgs") -> None:
        if not is_abandoned_read(unraisable):
            hook(unraisable)

    for logger in loggers:
        logger.addFilter(is_not_from_orbax)
    sys.unraisablehook = ours
    try:
        yield
    finally:
        gc.collect()
        sys.unraisablehook = hook
        for logger in loggers:
            logger.removeFilter(is_not_from_orbax)


def wait_for_threads(seconds: float = 60.0) -> None:
    """Waits for the threads that orbax has left at work, as it does when one of several fails."""
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("orbax"):
            threading.Thread.join(thread, seconds)


def reason_of(error: BaseException) -> str:
    """What the first of the errors that led to ``error`` says, without TensorStore's specs."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {first_line(str(error).split(' [tensorstore_spec')[0])}"


def is_not_from_orbax(record: logging.LogRecord) -> bool:
    """Whether a log record may pass: it neither comes from orbax nor is about its tasks."""
    said = record.getMessage()
    if record.exc_info:
        said += logging.Formatter().formatException(record.exc_info)
    return "orbax" not in record.pathname + said


def is_abandoned_read(unraisable: "sys.UnraisableHookArgs") -> bool:
    """Whether this is a coroutine of orbax, or the event loop it has closed under one."""
    if isinstance(unraisable.object, types.CoroutineType):
        return "orbax" in unraisable.object.cr_code.co_filename
    return str(unraisable.exc_value) == "Event loop is closed"
