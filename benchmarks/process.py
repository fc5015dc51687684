"""Runs a benchmark in its own process, in which no other code has run."""

import contextlib
import importlib
import importlib.metadata
import multiprocessing
import multiprocessing.connection
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peer_process import end_with_parent
from benchmarks.row import BenchmarkOptions, Row
from sde_jax import training

PEERS = ("scipy", "torch", "diffusers", "sbi")


class Environment(NamedTuple):
    """The environment of a benchmark: `sde_jax.training.environment`, peers and processor."""

    about: dict[str, Any]


class Failure(NamedTuple):
    """The reason why a benchmark stopped early."""

    reason: str


def send_rows(
    name: str, options: BenchmarkOptions, pipe: multiprocessing.connection.Connection
) -> None:
    """Sends the environment, each row of a benchmark, and a `Failure` if it raises."""
    end_with_parent()
    try:
        pipe.send(Environment(environment()))
        for row in importlib.import_module(f"benchmarks.{name}").rows(options):
            pipe.send(row)
    except Exception as error:
        traceback.print_exc()
        pipe.send(Failure(f"{type(error).__name__}: {error}"))


def environment() -> dict[str, Any]:
    """Returns versions, including those of the peers, commit, devices and processor."""
    here = training.environment()
    installed = {found.name: found.version for found in importlib.metadata.distributions()}
    here["packages"] |= {name: installed.get(name) for name in PEERS}
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = {line.partition(": ")[2] for line in lines if line.startswith("model name")}
    return {**here, "processor": ", ".join(names), "cores": os.cpu_count()}


def run_in_process(
    name: str, options: BenchmarkOptions, *, one_core: bool = False
) -> Iterator[Environment | Row | Failure]:
    """Yields the messages of `send_rows`, which runs in a new process, perhaps on one core."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_rows, args=(name, options, sender))
    with on_one_core() if one_core else contextlib.nullcontext():
        process.start()
    sender.close()
    try:
        while True:
            yield receiver.recv()
    except EOFError:
        process.join()
    if process.exitcode:
        yield Failure(f"its process exited with code {process.exitcode}")


def can_choose_cores() -> bool:
    """Returns whether this system can run a process on one core."""
    return hasattr(os, "sched_setaffinity")


@contextlib.contextmanager
def on_one_core() -> Iterator[None]:
    """Restricts this process to one core; processes that it starts meanwhile stay there, so that
    every library in them has one thread."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
