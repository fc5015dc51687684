"""One trainer at a time in a run directory."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from sde_jax.training.errors import RunError

__all__ = ["LOCK", "locked"]

LOCK = "lock"
"""The file in a run directory that its trainer locks; it is empty, and stays."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps others from entering this for the folder ``path``, until it is left or killed.

    On a filesystem that cannot lock, it keeps no one.

    Raises:
      RunError: if another has entered.
    """
    with (path / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"{path} is being trained by another process: wait until it has ended, or choose "
                "another folder"
            ) from None
        except OSError:
            pass
        yield
