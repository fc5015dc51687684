"""Does an evaluation cost more than in proportion to its images and to their pixels?

    python -m benchmarks cost

DDPM++ on batches of 1 to 64, and on images of 16 to 64 pixels a side that attend at one resolution
(and in the middle, which is smaller), each against the smallest times the number of images or
pixels. A ratio of 1 is linear.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from benchmarks.ddpmpp import M, S, Size, compute_dtype, example, precise, timed
from benchmarks.row import Asked, Row
from benchmarks.timing import compiled, paired

BATCHES = (1, 4, 16, 64)
SIDES = (16, 32, 64)
ATTENDING = 16
"""Pixels a side where the images of `SIDES` attend."""
BATCH = 4
"""Of the images of `SIDES`."""
AT_LEAST = 1 / 1.2
TOLERANCE = {True: 1e-4, False: 5e-2}
"""How far an image's output may depend on the others, in deviations, in float32 or in bfloat16."""


class Evaluation(NamedTuple):
    """One evaluation of a batch, compiled."""

    call: Callable[[], jax.Array]
    reversed_call: Callable[[], jax.Array]
    """Of the images in reversed order."""
    compile_seconds: float
    peak_bytes: int | None


def rows(asked: Asked) -> Iterator[Row]:
    """Of batches, then of images; the largest alone if quick."""
    size, repeats = (S, 5) if asked.quick else (M, 9)
    batches, sides = (
        (all_of[0], all_of[-1]) if asked.quick else all_of for all_of in (BATCHES, SIDES)
    )
    evaluations = {count: evaluation(size, count) for count in batches}
    for count in batches[1:]:
        yield row(
            f"{size.name}, a batch of {count}",
            f"{count} times a batch of {batches[0]}",
            evaluations[count],
            evaluations[batches[0]],
            count // batches[0],
            repeats,
        )
    spec = dataclasses.replace(
        size.spec, multipliers=M.spec.multipliers, attention_resolutions=(ATTENDING,)
    )
    evaluations = {side: evaluation(Size(size.name, spec, side), BATCH) for side in sides}
    for side in sides[1:]:
        factor = (side // sides[0]) ** 2
        yield row(
            f"{size.name} in four levels that attends at {ATTENDING}, {BATCH} images of {side}^2",
            f"{factor} times images of {sides[0]}^2",
            evaluations[side],
            evaluations[sides[0]],
            factor,
            repeats,
        )


def row(
    case: str, peer: str, large: Evaluation, small: Evaluation, factor: int, repeats: int
) -> Row:
    """The large one beside the small one times ``factor``."""
    pairs = paired(large.call, small.call, repeats=repeats)
    return Row(
        case=f"{case}, {compute_dtype()}",
        unit="ms",
        ours=pairs.ours.scaled(1000),
        peer=peer,
        theirs=pairs.theirs.scaled(1000 * factor),
        ratio=pairs.ratio.scaled(factor),
        at_least=AT_LEAST,
        checked=same_in_reverse(large),
        compile_seconds=large.compile_seconds,
        peak_bytes=large.peak_bytes,
    )


def evaluation(size: Size, batch: int) -> Evaluation:
    """DDPM++ on that many images."""
    inputs, module = example(size, batch), timed(size)
    backwards = inputs._replace(x=inputs.x[::-1], time=inputs.time[::-1])
    program = compiled(lambda p, x, time: module.apply({"params": p}, x, time), *inputs)
    return Evaluation(
        lambda: program.call(*inputs),
        lambda: program.call(*backwards),
        program.seconds,
        program.peak_bytes,
    )


def same_in_reverse(evaluation: Evaluation) -> str:
    """That an image's output does not depend on its place among the others.

    Raises:
      AssertionError: if it does.
    """
    output, other = (np.asarray(call()) for call in (evaluation.call, evaluation.reversed_call))
    difference = float(np.abs(output - other[::-1]).max() / output.std())
    assert difference < TOLERANCE[precise()], f"in reversed order they differ by {difference:.1e}"
    return f"in reversed order the same but for {difference:.0e} of the deviation"
