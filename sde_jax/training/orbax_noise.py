"""Keeps off stderr what orbax says, with tracebacks, about failures that we report in a line."""

import contextlib
import gc
import logging
import sys
import types
from collections.abc import Iterator

__all__ = ["root_cause", "without_orbax_noise"]


@contextlib.contextmanager
def without_orbax_noise() -> Iterator[None]:
    """Drops orbax's log records, and complaints about the reads it abandons when one fails."""
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


def root_cause(error: BaseException) -> BaseException:
    """The first in the chain of errors that led to ``error``."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def is_not_from_orbax(record: logging.LogRecord) -> bool:
    """Whether a log record may pass: it neither comes from orbax nor is about a task of it."""
    return "orbax" not in record.pathname and "orbax" not in record.getMessage()


def is_abandoned_read(unraisable: "sys.UnraisableHookArgs") -> bool:
    """Whether this is a coroutine of orbax, or the event loop it has closed under one."""
    if isinstance(unraisable.object, types.CoroutineType):
        return "orbax" in unraisable.object.cr_code.co_filename
    return str(unraisable.exc_value) == "Event loop is closed"
