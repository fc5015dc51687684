"""A benchmark in a process of its own, in which nothing else has run."""

import importlib
import multiprocessing
import multiprocessing.connection
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.row import Asked, Row
from sde_jax.training import versions

__all__ = ["Broken", "Environment", "found"]

PEERS = ("scipy", "torch", "diffusers")


class Environment(NamedTuple):
    """Where a benchmark runs: as `sde_jax.training.versions` says it, with peers and processor."""

    about: dict[str, Any]


class Broken(NamedTuple):
    """Why a benchmark has no more rows."""

    reason: str


def measure(name: str, asked: Asked, pipe: multiprocessing.connection.Connection) -> None:
    """Sends where it runs, each row of a benchmark, and at last why there are no more, if so."""
    try:
        pipe.send(Environment(environment()))
        for row in importlib.import_module(f"benchmarks.{name}").rows(asked):
            pipe.send(row)
    except Exception as error:
        traceback.print_exc()
        pipe.send(Broken(f"{type(error).__name__}: {error}"))


def environment() -> dict[str, Any]:
    """Versions, commit and devices, those of the peers included, and the processor."""
    here = versions.environment()
    here["packages"] |= {name: versions.package_version(name) for name in PEERS}
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = {line.partition(": ")[2] for line in lines if line.startswith("model name")}
    return {**here, "processor": ", ".join(names), "cores": os.cpu_count()}


def found(name: str, asked: Asked) -> Iterator[Environment | Row | Broken]:
    """What `measure` sends from a process of its own, in which nothing else has run."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(name, asked, sender))
    process.start()
    sender.close()
    try:
        while True:
            yield receiver.recv()
    except EOFError:
        process.join()
    if process.exitcode:
        yield Broken(f"its process ended with {process.exitcode}")
