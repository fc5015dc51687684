"""The memory of the machine, which requests are compared with before anything is allocated."""

import contextlib
import os
from pathlib import Path

import jax
import numpy as np

from sde_jax.arrays import PyTree

CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")


def check_fits(needed: float, what: str, there: float | None = None) -> None:
    """Raises ValueError if a request needs more bytes than there are.

    Args:
      needed: the bytes that are needed at least.
      what: what needs them, in the plural, with the value to change.
      there: the bytes that are there; None for those of the host.
    """
    there = host_bytes() if there is None else there
    if needed > there:
        raise ValueError(
            f"{what} need {needed / 1e9:,.3g} GB of memory at least: there are {there / 1e9:,.3g} "
            "GB."
        )


def host_bytes() -> float:
    """Returns the memory of the machine, or of the container if that has less."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # No limit is "max".
        there = min(there, int(CONTROL_GROUP.read_text()))
    return there


def device_bytes(devices: int = 1) -> float:
    """Returns the memory of so many devices; on CPU, that of the host."""
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return host_bytes() if limit is None else devices * limit


def size_of(tree: PyTree) -> int:
    """Returns the bytes of arrays, or of their descriptions."""
    leaves = jax.tree.leaves(tree)
    return sum(leaf.size * np.dtype(leaf.dtype).itemsize for leaf in leaves)
