"""Conditions of a timing: stolen CPU time, other programs, and the speed of known operations."""

import contextlib
import functools
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

SLOWEST, LONGEST_WAIT = 0.7, 0.1
"""Least speed of the known operations, and largest share of waiting, at which a timing counts."""
STAT = Path("/proc/stat")
REPEATS = 15


class Conditions(NamedTuple):
    """Conditions of a timing on a CPU."""

    ours: float
    """Speed of the known operations by JAX between our calls, relative to that alone."""
    theirs: float
    """The same by the peer's library."""
    stolen: float | None
    """Share of the CPU time that the host of a virtual machine took; None where it is unknown."""
    others: float | None
    """Share of the CPU time that other programs took; None where it is unknown."""
    waited: float | None
    """Share of the time that the measured threads waited for a core; None where it is unknown."""

    @property
    def busy(self) -> bool:
        """True if the timing does not count."""
        waited = sum(share for share in (self.stolen, self.waited) if share is not None)
        return min(self.ours, self.theirs) < SLOWEST or waited > LONGEST_WAIT

    def __str__(self) -> str:
        shares = zip(self._fields[2:], self[2:], strict=True)
        known = [f"{name} {share:.0%}" for name, share in shares if share is not None]
        return ", ".join([f"{self.ours:.2f} and {self.theirs:.2f}", *known])


def combine(ours: Conditions | None, theirs: Conditions | None) -> Conditions | None:
    """Returns the conditions of two timings, one after the other: the worse shares of both."""
    if ours is None or theirs is None:
        return None
    shares = (
        None if one is None or other is None else max(one, other)
        for one, other in zip(ours[2:], theirs[2:], strict=True)
    )
    return Conditions(ours.ours, theirs.theirs, *shares)


class CPUTime(NamedTuple):
    """CPU time of all cores since the start of the machine, in ticks of the clock."""

    total: int
    idle: int
    stolen: int
    own: int
    """That of the measured processes and of their children that have ended."""
    ran: int
    """Nanoseconds for which the threads of the measured processes ran."""
    waited: int
    """Nanoseconds for which they could run and had no core."""

    @classmethod
    def now(cls, processes: Sequence[int]) -> "CPUTime | None":
        """Reads the clocks; None where there is no ``/proc/stat``."""
        if not STAT.is_file():
            return None
        # User time includes that of guests, the last two columns.
        columns = [int(word) for word in STAT.read_text().split("\n", 1)[0].split()[1:9]]
        own = ran = waited = 0
        for process in processes:
            words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            own += sum(map(int, words[11:15]))
            for thread in Path(f"/proc/{process}/task").iterdir():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It ended.
                    times = (thread / "schedstat").read_text().split()
                    ran, waited = ran + int(times[0]), waited + int(times[1])
        return cls(sum(columns), columns[3] + columns[4], columns[7], own, ran, waited)

    def shares(self) -> tuple[float, float, float]:
        """Returns the shares of stolen time, of others and of waiting in this time."""
        total = max(self.total, 1)
        others = max(total - self.idle - self.stolen - self.own, 0)
        return self.stolen / total, others / total, self.waited / max(self.ran + self.waited, 1)


class Peer(Protocol):
    """A peer in a process of its own."""

    pid: int
    """Number of the process."""

    def seconds(self) -> float:
        """Returns the seconds of one call."""

    def speed(self) -> float:
        """Returns the speed of the library's known operations there, relative to that alone."""


class Watch:
    """Observes the conditions of a timing in this process and in that of a peer."""

    def __init__(self, peer: Peer | None = None) -> None:
        import jax

        self.peer, self.on_cpu = peer, jax.default_backend() == "cpu"
        self.speeds: list[tuple[float, float]] = []
        self.processes = [os.getpid(), *([] if peer is None else [peer.pid])]
        if self.on_cpu:
            speed_of("jax")  # It measures the speed alone before the timing begins.
        self.start = CPUTime.now(self.processes)

    def probe(self) -> None:
        """Measures the speed of the known operations once, on a CPU."""
        if self.on_cpu:
            ours = speed_of("jax")
            self.speeds.append((ours, ours if self.peer is None else self.peer.speed()))

    def conditions(self) -> Conditions | None:
        """Returns the medians of the speeds, and the shares of the time since the start; None on a
        GPU."""
        if not self.on_cpu:
            return None
        ours, theirs = map(statistics.median, zip(*self.speeds, strict=True))
        end = CPUTime.now(self.processes)
        if self.start is None or end is None:
            return Conditions(ours, theirs, None, None, None)
        passed = CPUTime(*(after - before for before, after in zip(self.start, end, strict=True)))
        return Conditions(ours, theirs, *passed.shares())


def speed_of(library: str) -> float:
    """Runs a library's known operations, and returns their speed relative to that alone."""
    return seconds_alone(library) / seconds(operations_of(library))


@functools.cache
def seconds_alone(library: str) -> float:
    """Returns the median seconds of a library's known operations in a process of their own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(median_seconds, library).result()


def median_seconds(library: str) -> float:
    """Returns the median seconds of a library's known operations in this process."""
    operations = operations_of(library)
    return statistics.median(seconds(operations) for _ in range(REPEATS))


def seconds(operations: Callable[[], Any]) -> float:
    """Returns the seconds of one call."""
    started = time.perf_counter()
    operations()
    return time.perf_counter() - started


@functools.cache
def operations_of(library: str) -> Callable[[], Any]:
    """Returns a library's known operations, which were called once: a matrix product and a
    convolution, of .5 GFLOP together, in float32 on the CPU."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((512, 512), np.float32)
    images = rng.standard_normal((4, 16, 16, 64), np.float32)
    kernel = rng.standard_normal((3, 3, 64, 64), np.float32)
    build = {"jax": jax_operations, "torch": torch_operations}[library]
    operations = build(matrix, images, kernel)
    operations()
    return operations


def jax_operations(matrix: np.ndarray, images: np.ndarray, kernel: np.ndarray) -> Callable[[], Any]:
    """Returns the operations by JAX."""
    import jax

    @jax.jit
    def operations(matrix: Any, images: Any, kernel: Any) -> Any:
        convolved = jax.lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return matrix @ matrix, convolved

    arguments = jax.device_put((matrix, images, kernel), jax.devices("cpu")[0])
    return lambda: jax.block_until_ready(operations(*arguments))


def torch_operations(
    matrix: np.ndarray, images: np.ndarray, kernel: np.ndarray
) -> Callable[[], Any]:
    """Returns the operations by PyTorch."""
    import torch

    square = torch.from_numpy(matrix)
    x, weight = (
        torch.from_numpy(array).permute(axes).contiguous(memory_format=torch.channels_last)
        for array, axes in ((images, (0, 3, 1, 2)), (kernel, (3, 2, 0, 1)))
    )

    def operations() -> Any:
        with torch.inference_mode():
            return square @ square, torch.nn.functional.conv2d(x, weight, padding=1)

    return operations
