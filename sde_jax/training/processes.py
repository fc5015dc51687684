"""Cooperation of several processes: joining, sharing errors, ending together."""

import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from sde_jax.training.errors import RunError

Result = TypeVar("Result")

EXPLICIT = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
TASK_COUNTS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
INDEXED_JOB = ("KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX")

HEARTBEAT_SECONDS = 30
"""Silence after which a process counts as dead and the others end."""
SHUTDOWN_SECONDS = 120
"""Time that a finished process waits for the others before all end."""
LONGEST = 1000
"""Most bytes of an error that are sent to the other processes."""


def join_processes(environment: Mapping[str, str] = os.environ) -> None:
    """Starts `jax.distributed` if ``environment`` describes several processes.

    Call it before anything is computed. The processes are found

    - by JAX_COORDINATOR_ADDRESS (host:port of process 0), JAX_NUM_PROCESSES and JAX_PROCESS_ID, if
      one of them is set;
    - by `jax.distributed.initialize`, in a step of Slurm or a run of Open MPI with more than one
      task, in an indexed job of Kubernetes, and on Cloud TPUs (wherever libtpu is installed).

    Otherwise it does nothing and does not wait. A process that dies ends the others within 30 s;
    a process that exits with an error ends them within two minutes.

    Raises:
      ValueError: if only some of the three variables are set, or a value is invalid.
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
    """Returns the arguments of `jax.distributed.initialize` from the three variables."""
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
    """Starts `jax.distributed` with the timeouts of this module."""
    jax.distributed.initialize(
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        **arguments,
    )


def join_pod() -> None:
    """Joins the processes of a TPU pod, if this is one: libtpu may be installed elsewhere."""
    try:
        initialize()
    except ValueError as error:
        if "coordinator_address should be defined" not in str(error):
            raise


def is_first() -> bool:
    """Returns whether this process is the one that writes; starts no backend if it is alone."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0


def first_error(error: str | None) -> str | None:
    """Returns the error of the first process that has one; every process must call this.

    An error of another process names that process and is cut after 1000 bytes.
    """
    if jax.process_count() == 1:
        return error
    text = (error or "").encode(errors="backslashreplace")[:LONGEST]
    buffer = np.zeros(LONGEST, np.uint8)
    buffer[: len(text)] = np.frombuffer(text, np.uint8)
    for index, row in enumerate(multihost_utils.process_allgather(buffer)):
        found = bytes(row).rstrip(b"\0").decode(errors="ignore")
        if found:
            return error if index == jax.process_index() else f"process {index}: {found}"
    return None


def raise_on_all(action: Callable[[], Result]) -> Result:
    """Returns the result of ``action``, or raises in all processes if it fails in one.

    Every process must call this.

    Raises:
      RunError: if ``action`` raised a `RunError`, a `ValueError` or an `OSError` in another
        process. The process where it failed raises that error.
    """
    error: Exception | None = None
    try:
        result = action()
    except (RunError, ValueError, OSError) as caught:
        error = caught
    found = first_error(None if error is None else f"{error or type(error).__name__}")
    if error is not None:
        raise error
    if found is not None:
        raise RunError(found)
    return result


def of_first(action: Callable[[], Any]) -> Any:
    """Returns the result of ``action`` in the first process, a JSON value, to all processes.

    Every process must call this. It raises as `raise_on_all` does.
    """
    value = raise_on_all(lambda: action() if is_first() else None)
    if jax.process_count() == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(text.size)))
    sent = text if is_first() else np.zeros(size, np.uint8)
    return json.loads(bytes(np.asarray(multihost_utils.broadcast_one_to_all(sent))))
