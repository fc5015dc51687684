"""Measures how the cost of an evaluation grows with the number and the size of its images.

    python -m benchmarks cost

DDPM++ evaluates batches of 1 to 64 images, and images of 16 to 64 pixels a side with attention at
one resolution and in the middle, which is smaller. Each case is compared with the smallest one
times the number of images or pixels. A ratio of 1 is linear growth.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax

from benchmarks.ddpmpp import (
    M,
    S,
    Size,
    compile_evaluation,
    compute_dtype,
    example_inputs,
    output_difference,
)
from benchmarks.row import BenchmarkOptions, Row
from benchmarks.timing import CompiledProgram, time_pairs

BATCHES = (1, 4, 16, 64)
SIDES = (16, 32, 64)
ATTENDING = 16
"""Resolution of the attention in images of `SIDES`."""
BATCH = 4
"""Number of images of `SIDES`."""
AT_LEAST = 1 / 1.2


class Evaluation(NamedTuple):
    """A compiled evaluation of a batch."""

    call: Callable[[], jax.Array]
    reversed_call: Callable[[], jax.Array]
    """Evaluates the images in reversed order."""
    program: CompiledProgram


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Yields rows of batches, then of images; only the largest case if quick."""
    size, repeats = (S, 5) if options.quick else (M, 9)
    batches, sides = (
        (sizes[0], sizes[-1]) if options.quick else sizes for sizes in (BATCHES, SIDES)
    )
    evaluations = {count: evaluation(size, count) for count in batches}
    case = f"{size.name}, a batch of {{}}"
    yield from compare(evaluations, case, "{} times a batch of {}", 1, repeats)
    spec = dataclasses.replace(
        size.spec, multipliers=M.spec.multipliers, attention_resolutions=(ATTENDING,)
    )
    evaluations = {side: evaluation(Size(size.name, spec, side), BATCH) for side in sides}
    case = f"{size.name} in four levels that attends at {ATTENDING}, {BATCH} images of {{}}^2"
    yield from compare(evaluations, case, "{} times images of {}^2", 2, repeats)


def compare(
    evaluations: dict[int, Evaluation], case: str, peer: str, power: int, repeats: int
) -> Iterator[Row]:
    """Compares larger evaluations with the first times the power of the ratio of their sizes."""
    (first, small), *others = evaluations.items()
    for number, large in others:
        factor = (number // first) ** power
        times = time_pairs(large.call, small.call, repeats=repeats)
        yield Row(
            case=f"{case.format(number)}, {compute_dtype()}",
            unit="ms",
            peer=peer.format(factor, first),
            **times.times(1000, 1000 * factor),
            **large.program.roofline(times.ours.value, compute_dtype()),
            at_least=AT_LEAST,
            checked=check_reversed(large),
            **large.program.costs(),
        )


def evaluation(size: Size, batch: int) -> Evaluation:
    """Compiles DDPM++ for a batch."""
    inputs = example_inputs(size, batch)
    backwards = inputs._replace(x=inputs.x[::-1], time=inputs.time[::-1])
    program = compile_evaluation(size, inputs)
    return Evaluation(lambda: program.call(*inputs), lambda: program.call(*backwards), program)


def check_reversed(evaluation: Evaluation) -> str:
    """Checks that an image's output does not depend on its place in the batch.

    Raises:
      AssertionError: if it does.
    """
    difference = output_difference(evaluation.call(), evaluation.reversed_call()[::-1])
    return f"in reversed order the same but for {difference:.0e} of the deviation"
