"""The least time that a program can take on this machine: its roofline (Williams et al. 2009).

XLA counts the operations and the bytes of a program. A large matrix product and a large addition
measure how many of each the machine does in a second. The larger of the two times is the bound.
"""

import functools
import re
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

SIDES = {"cpu": 2048, "gpu": 8192}
"""Rows and columns of the factors of the product."""
BYTES = {"cpu": 2**28, "gpu": 2**31}
"""Size of the array that is added to: it fits no cache."""
REPEATS = 7


class Peak(NamedTuple):
    """The rates of this machine."""

    flops: float
    """Operations of a matrix product per second, in the type in which networks are timed."""
    bytes: float
    """Bytes read and written per second."""


class Work(NamedTuple):
    """The work of a program, as XLA counts it."""

    flops: float
    """Floating-point operations; two for each multiplication with its addition."""
    bytes: float
    """Bytes that the operations of the compiled program read and write, caches left aside."""

    @classmethod
    def of(cls, lowered: Any, compiled: Any) -> "Work | None":
        """Returns the work of a program; None if it has products in a loop, whose rounds XLA does
        not count."""
        before, after = lowered.cost_analysis(), compiled.cost_analysis()
        if not before or "bytes accessed" not in (after or {}) or loops(compiled.as_text()):
            return None
        return cls(before["flops"], after["bytes accessed"])

    def share(self, seconds: float, peak: Peak) -> "Share":
        """Returns the share of the roofline that a call of ``seconds`` reaches."""
        bounds = {"products": self.flops / peak.flops, "memory": self.bytes / peak.bytes}
        bound = max(bounds, key=lambda name: bounds[name])
        return Share(bounds[bound] / seconds, bound, *self)


def loops(program: str) -> bool:
    """Returns whether a compiled program has products in a loop; those of random bits have none."""
    pattern = re.compile(r"^(?:ENTRY )?%?([\w.-]+) [^\n]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
    computations, seen = dict(pattern.findall(program)), set()
    waiting = set(re.findall(r"body=%?([\w.-]+)", program))
    while waiting:
        seen.add(name := waiting.pop())
        text = computations.get(name, "")
        if re.search(r" (?:dot|convolution|custom-call)\(", text):
            return True
        waiting |= {*re.findall(r"(?:body|calls|to_apply)=%?([\w.-]+)", text)} - seen
    return False


class Share(NamedTuple):
    """The time of the roofline over that of a call."""

    value: float
    bound: str
    """The bound: products or memory."""
    flops: float
    bytes: float

    def __str__(self) -> str:
        return (
            f"{self.value:.2f} of {self.bound} "
            f"({self.flops / 1e9:.3g} GFLOP, {self.bytes / 1e9:.2g} GB)"
        )


@functools.cache
def measured_peak(dtype: str) -> Peak:
    """Measures the rates of the first device, with all threads of this process."""
    kind = "cpu" if jax.default_backend() == "cpu" else "gpu"
    side, size = SIDES[kind], BYTES[kind]
    factor = jax.random.normal(jax.random.key(0), (side, side), jnp.dtype(dtype))
    array = jnp.zeros(size // 4, jnp.float32)
    product = fastest(jax.jit(jnp.matmul), factor, factor)
    addition = fastest(jax.jit(lambda x: x + 1), array)
    return Peak(2 * side**3 / product, 2 * size / addition)


def fastest(function: Callable[..., jax.Array], *arguments: jax.Array) -> float:
    """Returns the lower quartile of the seconds of calls, of which the first is not timed."""
    function(*arguments).block_until_ready()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        function(*arguments).block_until_ready()
        seconds.append(time.perf_counter() - started)
    return statistics.quantiles(seconds, n=4)[0]
