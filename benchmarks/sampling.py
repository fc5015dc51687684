"""How much sooner do few evaluations lead to the same Fréchet distance as 2000?

    python -m benchmarks sampling --runs RUNS

Trained digits by UniPC in the fewest steps whose Fréchet distance is not above that of the peer by
more than the errors of both, against predictor and corrector of Song et al. 2021 in 1000 steps of
reverse diffusion and Langevin dynamics (snr .16): a Python loop around the compiled score, as in
score_sde_pytorch, and the same compiled as a whole. Features are those of `digits_classifier`, or
pixels where there is no such run in RUNS.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.row import Asked, Row, spread
from benchmarks.timing import compiled, seconds
from benchmarks.trained import MissingRunError, Trained, opened, with_error
from sde_jax.metrics import FrechetDistance
from sde_jax.runs.generation import example_keys
from sde_jax.sampling import (
    BatchNormStep,
    ExponentialAdams,
    Langevin,
    LogSNRGrid,
    PredictorCorrector,
    PublishedGrid,
    ReverseDiffusion,
    Sampler,
)
from sde_jax.sde import VP, DDPMChain

RUN = "digits_vp"
STEPS, END, SNR = 1000, 1e-3, 0.16
"""Of the peer: from time 1 to END."""
FEW = (4, 5, 6, 7, 8, 9, 11, 14, 19, 24, 29, 34, 39, 49)
"""Steps of ours that are tried, in this order."""
SAME = 5.0
"""Errors that the distances of one sampler, written twice, may lie apart."""

Draw = Callable[[int], Any]
"""Draws a batch by its number."""


class Drawn(NamedTuple):
    """Batches of samples: what they took and what they are worth."""

    seconds: list[float]
    distance: FrechetDistance


class Ours(NamedTuple):
    """What the fewest steps drew, and their program."""

    drawn: Drawn
    steps: int
    compile_seconds: float
    peak_bytes: int | None


def rows(asked: Asked) -> Iterator[Row]:
    """Against the Python loop and, unless quick, against the same compiled."""
    try:
        trained = opened(asked, RUN)
    except MissingRunError as error:
        yield Row(**described("in a Python loop", 40.0), missing=str(error), checked="")
        return
    batch, batches = (128, 1) if asked.quick else (256, 4)
    loop = drawn(trained, python_loop(trained, batch), batches)
    ours = fewest(trained, loop.distance, batch, batches)
    yield row("in a Python loop", 40.0, ours, loop, batch)
    if not asked.quick:
        program = of_sampler(trained, published(), batch)
        whole = drawn(trained, program.draw, batches)
        apart = abs(whole.distance.value - loop.distance.value)
        error = math.hypot(whole.distance.stderr, loop.distance.stderr)
        assert apart < SAME * error, f"one sampler, two distances: {loop} and {whole}"
        yield row("compiled", None, fewest(trained, whole.distance, batch, batches), whole, batch)


def described(peer: str, at_least: float | None) -> dict[str, Any]:
    """What a row says in any case."""
    return {
        "case": f"{RUN}, to the same Fréchet distance, float32",
        "unit": "ms/image",
        "peer": f"predictor and corrector {peer}, {2 * STEPS} evaluations",
        "at_least": at_least,
    }


def row(peer: str, at_least: float | None, ours: Ours, theirs: Drawn, batch: int) -> Row:
    """A comparison, batch by batch."""
    mine, others, factor = ours.drawn.seconds, theirs.seconds, 1000 / batch
    return Row(
        **described(peer, at_least),
        ours=spread(mine).scaled(factor),
        theirs=spread(others).scaled(factor),
        ratio=spread([other / own for own, other in zip(mine, others, strict=True)]),
        checked=f"{batch * len(mine)} images: Fréchet distance {with_error(ours.drawn.distance)} "
        f"in {ours.steps + 1} evaluations, {with_error(theirs.distance)} in {2 * STEPS}",
        compile_seconds=ours.compile_seconds,
        peak_bytes=ours.peak_bytes,
    )


def drawn(trained: Trained, draw: Draw, batches: int) -> Drawn:
    """That many batches."""
    times, images = [], []
    for number in range(batches):

        def call(number: int = number) -> None:
            images.append(np.asarray(draw(number)))

        times.append(seconds(call))
    x = np.concatenate(images)
    assert np.isfinite(x).all(), "a sample is not finite"
    return Drawn(times, trained.distance(x))


class Program(NamedTuple):
    """A sampler, compiled for one batch."""

    draw: Draw
    compile_seconds: float
    peak_bytes: int | None


def of_sampler(trained: Trained, sampler: Sampler, batch: int) -> Program:
    """A sampler of ours, after one batch that does not count."""
    run, key = trained.run, jax.random.key(0)
    score, shape, sde = run.score, run.layout.shape, run.experiment.sde
    program = compiled(
        lambda score, keys: sampler(keys, score, sde, shape).x, score, example_keys(key, 0, batch)
    )

    def draw(number: int) -> jax.Array:
        return program.call(score, example_keys(key, number * batch, batch))

    draw(0)
    return Program(draw, program.seconds, program.peak_bytes)


def fewest(trained: Trained, peer: FrechetDistance, batch: int, batches: int) -> Ours:
    """UniPC in the fewest steps whose distance is not above the peer's by more than the errors.

    Raises:
      AssertionError: if none of `FEW` is enough.
    """
    for steps in FEW:
        sampler = ExponentialAdams(grid=LogSNRGrid(steps=steps))
        program = of_sampler(trained, sampler, batch)
        found = drawn(trained, program.draw, batches)
        error = math.hypot(found.distance.stderr, peer.stderr)
        if found.distance.value <= peer.value + error:
            return Ours(found, steps, program.compile_seconds, program.peak_bytes)
    raise AssertionError(f"{FEW[-1]} steps are not enough: {with_error(found.distance)}")


def published() -> PredictorCorrector:
    """The peer as the library has it."""
    chain = DDPMChain(levels=STEPS)
    return PredictorCorrector(
        grid=PublishedGrid(steps=STEPS, t_min=END),
        predictor=ReverseDiffusion(transition=chain),
        corrector=Langevin(snr=SNR, step_size=BatchNormStep(), transition=chain),
        end="mean",
    )


def python_loop(trained: Trained, batch: int) -> Draw:
    """The peer as score_sde_pytorch has it: each operation by itself, the score compiled."""
    sde, shape = trained.run.experiment.sde, (batch, *trained.run.layout.shape)
    assert isinstance(sde, VP)
    betas = np.linspace(sde.beta_min / STEPS, sde.beta_max / STEPS, STEPS)
    like = jnp.zeros(shape), jnp.float32(1.0)
    program = compiled(lambda score, x, t: score(x, t), trained.run.score, *like)

    def score(x: np.ndarray, t: np.float32) -> np.ndarray:
        return np.asarray(program.call(trained.run.score, x, t))

    def norm(x: np.ndarray) -> float:
        return float(np.sqrt((x.reshape(batch, -1) ** 2).sum(axis=1)).mean())

    def draw(number: int) -> np.ndarray:
        rng = np.random.default_rng(number)
        x = mean = rng.standard_normal(shape, np.float32)
        for t in np.linspace(1.0, END, STEPS, dtype=np.float32):
            beta = float(betas[int(t * (STEPS - 1))])
            gradient, noise = score(x, t), rng.standard_normal(shape, np.float32)
            step = 2 * (1 - beta) * (SNR * norm(noise) / norm(gradient)) ** 2
            x = x + step * gradient + math.sqrt(2 * step) * noise
            mean = (2 - math.sqrt(1 - beta)) * x + beta * score(x, t)
            x = mean + math.sqrt(beta) * rng.standard_normal(shape, np.float32)
        return mean

    return draw
