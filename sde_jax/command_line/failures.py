"""Failures of commands: exit codes, and one line each."""

import errno

import jax

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.reporting import listed
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
        return None if has_platform() else 2
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
        f"JAX_PLATFORMS={jax.config.values['jax_platforms']} names no platform that JAX can use "
        "here: unset it, or set it to cpu."
    )


def is_exhausted(error: Exception) -> bool:
    """Returns whether a device had not enough memory."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def has_platform() -> bool:
    """Returns False if JAX finds none of the platforms that it was told to use."""
    if not jax.config.values["jax_platforms"]:
        return True
    try:
        return bool(jax.devices())
    except (RuntimeError, AssertionError):
        return False
