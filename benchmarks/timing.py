"""Compiled programs, and wall-clock times of calls."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from benchmarks.conditions import Conditions, Watch
from benchmarks.peer_process import PeerProcess
from benchmarks.roofline import Work, measured_peak
from benchmarks.row import Spread, spread


class CompiledProgram(NamedTuple):
    """A program compiled by XLA, with its costs."""

    call: Callable[..., Any]
    compile_seconds: float
    """Seconds to trace and compile the program."""
    peak_bytes: int | None
    """Bytes of arguments, results and temporaries; None where XLA does not report them."""
    work: Work | None = None
    """Operations and bytes of a call; None for a program with a loop."""

    def costs(self) -> dict[str, Any]:
        """Returns the costs as fields of a row."""
        return {"compile_seconds": self.compile_seconds, "peak_bytes": self.peak_bytes}

    def roofline(self, seconds: float, dtype: str) -> dict[str, Any]:
        """Returns the share of the roofline that a call of ``seconds`` reaches, as a field of a
        row."""
        peak = None if self.work is None else measured_peak(dtype)
        return {"roofline": self.work and self.work.share(seconds, peak)}


class PairedTimes(NamedTuple):
    """Times of two calls that alternate."""

    ours: Spread
    """Seconds of our call."""
    theirs: Spread
    """Seconds of the peer's call."""
    ratio: Spread
    """Ratio of the peer's time to ours, over the pairs."""
    conditions: Conditions | None
    """Conditions of the timing; None on a GPU."""

    @classmethod
    def of(
        cls, ours: Sequence[float], theirs: Sequence[float], conditions: Conditions | None
    ) -> "PairedTimes":
        """Summarizes the seconds of each pair."""
        ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
        return cls(spread(ours), spread(theirs), spread(ratios), conditions)

    def times(self, factor: float, peer_factor: float | None = None) -> dict[str, Any]:
        """Returns both times, multiplied by their factors, and conditions as fields of a row."""
        other = factor if peer_factor is None else peer_factor
        ours, theirs = self.ours.scaled(factor), self.theirs.scaled(other)
        return self._as_fields(ours, theirs, other / factor)

    def rates(self, count: float, peer_count: float | None = None) -> dict[str, Any]:
        """Returns the rates of calls for ``count`` items, and conditions as fields of a row."""
        other = count if peer_count is None else peer_count
        ours, theirs = per_second(self.ours, count), per_second(self.theirs, other)
        return self._as_fields(ours, theirs, count / other)

    def _as_fields(self, ours: Spread, theirs: Spread, factor: float) -> dict[str, Any]:
        """Returns fields of a row, with the ratio multiplied by ``factor``."""
        ratio = self.ratio.scaled(factor)
        return {"ours": ours, "theirs": theirs, "ratio": ratio, "conditions": self.conditions}


def compile_program(function: Callable[..., Any], *args: Any, **options: Any) -> CompiledProgram:
    """Compiles ``jax.jit(function, **options)`` for these arguments."""
    started = time.perf_counter()
    lowered = jax.jit(function, **options).lower(*args)
    program = lowered.compile()
    took = time.perf_counter() - started
    memory, work = program.memory_analysis(), Work.of(lowered, program)
    if memory is None:
        return CompiledProgram(program, took, None, work)
    sizes = (
        memory.argument_size_in_bytes,
        memory.output_size_in_bytes,
        memory.temp_size_in_bytes,
        -memory.alias_size_in_bytes,
    )
    return CompiledProgram(program, took, sum(sizes), work)


def time_call(function: Callable[[], Any]) -> float:
    """Returns the seconds of one call, until all of its results are computed."""
    started = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - started


def per_second(times: Spread, count: float) -> Spread:
    """Returns the rate of a call that processes ``count`` items in these times."""
    return Spread(count / times.value, count / times.high, count / times.low)


def fastest(calls: Mapping[str, Callable[[], Any]]) -> tuple[str, Callable[[], Any]]:
    """Returns the fastest call and its name; the first call of each is not timed."""
    for call in calls.values():
        time_call(call)
    name = min(calls, key=lambda name: min(time_call(calls[name]) for _ in range(3)))
    return name, calls[name]


def time_pairs(
    ours: Callable[[], Any],
    theirs: Callable[[], Any] | PeerProcess,
    *,
    repeats: int,
    warm_up: int = 1,
) -> PairedTimes:
    """Times two calls in alternation, after ``warm_up`` untimed calls of each."""
    apart = theirs if isinstance(theirs, PeerProcess) else None
    time_peer = (lambda: time_call(theirs)) if apart is None else apart.seconds
    for _ in range(warm_up):
        time_call(ours), time_peer()
    watch, pairs = Watch(apart), []
    for _ in range(repeats):
        pairs.append((time_call(ours), time_peer()))
        watch.probe()
    return PairedTimes.of(*zip(*pairs, strict=True), watch.conditions())
