"""A lock that admits one trainer at a time to a run directory."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from sde_jax.training.errors import RunError

LOCK = "lock"
"""The empty file in a run directory that its trainer locks; it is never deleted."""


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
