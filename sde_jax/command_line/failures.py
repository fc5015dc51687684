"""Failures of commands: exit codes, and one line each."""

import errno
import sys

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.lines import listed
from sde_jax.training.errors import NonFiniteError, RunError, UnsavedError

OF_THE_MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM, errno.EMFILE),
    *(errno.ENFILE, errno.ESTALE, errno.ECONNRESET, errno.ETIMEDOUT, errno.EAGAIN),
}
"""Errors of the system that are no mistake in a request."""


def exit_code(error: Exception) -> int | None:
    """Returns 2 for a mistake in the request, 1 for a failure of the machine; None for a bug."""
    if isinstance(error, MemoryError | NonFiniteError | UnsavedError) or is_exhausted(error):
        return 1
    if not isinstance(error, ValueError | RunError | OSError):
        return None if missing_platform() is None else 2
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in OF_THE_MACHINE:
            return 1
        cause = cause.__cause__ or cause.__context__
    return 2


def words_of(error: Exception) -> str:
    """Returns the line about an error that has an exit code."""
    if isinstance(error, CheckpointFileError):
        return f"{error.path}: {listed(error.problems, limit=8)}."
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    if isinstance(error, MemoryError):
        return "the memory is too small for this request: ask for less at once."
    if is_exhausted(error):
        return "the device's memory is too small for this batch size or network."
    if isinstance(error, ValueError | RunError | OSError):
        return str(error) or type(error).__name__
    return (
        f"JAX_PLATFORMS={missing_platform()} names no platform that JAX can use "
        "here: unset it, or set it to cpu."
    )


def is_exhausted(error: Exception) -> bool:
    """Returns whether a device had not enough memory."""
    return type(error).__name__ == "JaxRuntimeError" and "RESOURCE_EXHAUSTED" in str(error)


def missing_platform() -> str | None:
    """Returns the platforms that JAX was told to use if it finds none of them, else None."""
    jax = sys.modules.get("jax")
    told = None if jax is None else jax.config.values["jax_platforms"]
    try:
        return None if not told or (jax and jax.devices()) else told
    except (RuntimeError, AssertionError):
        return told
