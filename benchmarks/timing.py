"""Times of compiled programs, and of two things in turn."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from benchmarks.row import Spread, spread

__all__ = ["Compiled", "Pairs", "compiled", "fastest", "paired", "per_second", "seconds"]


class Compiled(NamedTuple):
    """A program of XLA, and what it takes."""

    call: Callable[..., Any]
    seconds: float
    """To trace and to compile it."""
    peak_bytes: int | None
    """Arguments, results and all in between; None where XLA does not say."""


class Pairs(NamedTuple):
    """Two things that were timed in turn, again and again."""

    ours: Spread
    """Seconds."""
    theirs: Spread
    """Seconds."""
    ratio: Spread
    """Theirs over ours, of each pair."""


def compiled(function: Callable[..., Any], *args: Any, **options: Any) -> Compiled:
    """``jax.jit(function, **options)``, compiled for these arguments."""
    started = time.perf_counter()
    program = jax.jit(function, **options).lower(*args).compile()
    took = time.perf_counter() - started
    memory = program.memory_analysis()
    if memory is None:
        return Compiled(program, took, None)
    sizes = (
        memory.argument_size_in_bytes,
        memory.output_size_in_bytes,
        memory.temp_size_in_bytes,
        -memory.alias_size_in_bytes,
    )
    return Compiled(program, took, sum(sizes))


def seconds(function: Callable[[], Any]) -> float:
    """What one call takes, until all of its results are there."""
    started = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - started


def per_second(times: Spread, count: int) -> Spread:
    """How many of ``count`` things are done in a second, of the seconds that all of them take."""
    return Spread(count / times.value, count / times.high, count / times.low)


def fastest(calls: Mapping[str, Callable[[], Any]]) -> str:
    """The name of the call that takes the least time, after one of each that does not count."""
    for call in calls.values():
        seconds(call)
    return min(calls, key=lambda name: min(seconds(calls[name]) for _ in range(3)))


def paired(
    ours: Callable[[], Any], theirs: Callable[[], Any], *, repeats: int, warm_up: int = 1
) -> Pairs:
    """Times both in turn, after ``warm_up`` calls of each that do not count."""
    for _ in range(warm_up):
        seconds(ours), seconds(theirs)
    times = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    return Pairs(
        spread([mine for mine, _ in times]),
        spread([other for _, other in times]),
        spread([other / mine for mine, other in times]),
    )
