"""Several processes that work as one: how they meet, agree, and end together."""

import importlib.util
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from sde_jax.training.errors import RunError

__all__ = ["agreed", "finding_of_any", "is_first", "join_processes"]

Result = TypeVar("Result")

EXPLICIT = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
TASK_COUNTS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
INDEXED_JOB = ("KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX")

HEARTBEAT_SECONDS = 30
"""A process that has been silent for so long is dead, and the others end, too."""
SHUTDOWN_SECONDS = 120
"""How long a process that has ended waits for the others; then all end."""
LONGEST = 1000
"""Bytes of a finding that the others are told."""


def join_processes(environment: Mapping[str, str] = os.environ) -> None:
    """Starts `jax.distributed` where ``environment`` says that there are several processes.

    Call it before anything is computed. It joins them

    - by JAX_COORDINATOR_ADDRESS (host:port of process 0), JAX_NUM_PROCESSES and JAX_PROCESS_ID, if
      one of them is set;
    - as `jax.distributed.initialize` finds out by itself, in a step of Slurm or a run of Open MPI
      with more than one task, in an indexed job of Kubernetes, and on Cloud TPUs (wherever libtpu
      is installed).

    Anywhere else it does nothing, and waits for nothing. A process that dies ends the others
    within 30 s; one that ends by an error, within two minutes.

    Raises:
      ValueError: if only some of the three variables are set, or their values make no sense.
    """
    if jax.distributed.is_initialized():
        return
    if any(environment.get(name) for name in EXPLICIT):
        initialize(**explicit(environment))
    elif any(int(environment.get(name, 1)) > 1 for name in TASK_COUNTS) or all(
        name in environment for name in INDEXED_JOB
    ):
        initialize()
    elif importlib.util.find_spec("libtpu") is not None:
        join_pod()


def explicit(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the three variables say, as arguments of `jax.distributed.initialize`."""
    missing = [name for name in EXPLICIT if not environment.get(name)]
    if missing:
        raise ValueError(
            f"{', '.join(EXPLICIT)} must be set together, or none of them: "
            f"{' and '.join(missing)} missing"
        )
    address, count, index = (environment[name] for name in EXPLICIT)
    if ":" not in address:
        raise ValueError(f"JAX_COORDINATOR_ADDRESS must be host:port: got {address!r}")
    if not (count.isdecimal() and index.isdecimal() and int(index) < int(count)):
        raise ValueError(
            "JAX_PROCESS_ID must be one of 0, 1, ... below JAX_NUM_PROCESSES: "
            f"got {index!r} of {count!r}"
        )
    return {
        "coordinator_address": address,
        "num_processes": int(count),
        "process_id": int(index),
        "cluster_detection_method": "deactivate",
    }


def initialize(**arguments: Any) -> None:
    """Starts `jax.distributed` with our patience."""
    jax.distributed.initialize(
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        **arguments,
    )


def join_pod() -> None:
    """Joins the processes of a TPU pod; libtpu may be installed where there is none."""
    try:
        initialize()
    except ValueError as error:
        if "coordinator_address should be defined" not in str(error):
            raise


def is_first() -> bool:
    """Whether this process is the one that writes; starts no backend if it is the only one."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0


def finding_of_any(finding: str | None) -> str | None:
    """The finding of the first process that has one; every process must call this.

    One of another process says whose it is, and is cut after 1000 bytes.
    """
    if jax.process_count() == 1:
        return finding
    text = (finding or "").encode()[:LONGEST]
    buffer = np.zeros(LONGEST, np.uint8)
    buffer[: len(text)] = np.frombuffer(text, np.uint8)
    for index, row in enumerate(multihost_utils.process_allgather(buffer)):
        found = bytes(row).rstrip(b"\0").decode(errors="ignore")
        if found:
            return finding if index == jax.process_index() else f"process {index}: {found}"
    return None


def agreed(action: Callable[[], Result]) -> Result:
    """What ``action`` returns; every process must call this, and if one fails, all do.

    Raises:
      RunError: if it raised a `RunError`, a `ValueError` or an `OSError` in another process; in
        the process where it did, that error.
    """
    error: Exception | None = None
    try:
        result = action()
    except (RunError, ValueError, OSError) as caught:
        error = caught
    found = finding_of_any(None if error is None else f"{error or type(error).__name__}")
    if error is not None:
        raise error
    if found is not None:
        raise RunError(found)
    return result
