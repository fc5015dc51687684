"""Measures the speedup of few evaluations over 2000 at equal Fréchet distance.

    python -m benchmarks sampling --runs RUNS

UniPC samples trained digits in the fewest steps whose Fréchet distance does not exceed the peer's
by more than the errors of both, and a student of the same network does so by jumps. The peer is the
predictor and corrector of Song et al. 2021, 1000 steps of reverse diffusion and Langevin dynamics
(snr .16): a Python loop around the compiled score, as in score_sde_pytorch, and the same compiled
as a whole. Features are those of `digits_classifier`, or pixels where RUNS lacks that run.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.conditions import Conditions, Watch, combine
from benchmarks.row import BenchmarkOptions, Row
from benchmarks.timing import CompiledProgram, PairedTimes, compile_program, time_call
from benchmarks.trained import MissingRunError, TrainedModel, format_distance, open_trained
from sde_jax.metrics import FrechetDistance
from sde_jax.runs import example_keys
from sde_jax.sampling import (
    BatchNormStep,
    ExponentialAdams,
    JumpGrid,
    Langevin,
    LogSNRGrid,
    PredictorCorrector,
    PublishedGrid,
    Renoise,
    ReverseDiffusion,
    Sampler,
)
from sde_jax.sde import VP, DDPMChain

RUN = "digits_vp"
STUDENT = "digits_student"
STEPS, END, SNR = 1000, 1e-3, 0.16
"""Steps of the peer, from time 1 to END."""
CANDIDATE_STEPS = (4, 5, 6, 7, 8, 9, 11, 14, 19, 24, 29, 34, 39, 49)
"""Steps of our sampler, tried in this order."""
CANDIDATE_JUMPS = (1, 2, 4)
"""Evaluations of the student, likewise."""
LOOP = "in a Python loop"
EQUAL = 5.0
"""Standard errors by which the two implementations of the peer may differ."""

DrawBatch = Callable[[int], Any]
"""Draws a batch, given its number."""


class TimedSamples(NamedTuple):
    """Seconds of each batch of samples, and the Fréchet distance of all."""

    seconds: list[float]
    conditions: Conditions | None
    distance: FrechetDistance


class SamplerProgram(NamedTuple):
    """A sampler compiled for one batch size."""

    draw: DrawBatch
    program: CompiledProgram


class FewestSteps(NamedTuple):
    """Our sampler in the fewest evaluations that match the peer."""

    samples: TimedSamples
    evaluations: int
    program: CompiledProgram


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Compares with the Python loop and, unless quick, with the same peer compiled."""
    try:
        trained = open_trained(options, RUN)
    except MissingRunError as error:
        yield Row(**row_fields(RUN, LOOP, 40.0), missing=str(error), checked="")
        return
    batch, batches = (128, 1) if options.quick else (256, 4)
    loop = time_batches(trained, python_loop(trained, batch), batches)
    ours = fewest_steps(trained, candidates(), loop.distance, batch, batches)
    yield row(row_fields(RUN, LOOP, 40.0), ours, loop, batch)
    fields = row_fields(STUDENT, LOOP, 1000.0)
    try:
        student = open_trained(options, STUDENT)
    except MissingRunError as error:
        yield Row(**fields, missing=str(error), checked="")
    else:
        ours = fewest_steps(student, jumps(), loop.distance, batch, batches)
        yield row(fields, ours, loop, batch)
    if not options.quick:
        peer = compile_sampler(trained, peer_sampler(), batch)
        whole = time_batches(trained, peer.draw, batches)
        difference = abs(whole.distance.value - loop.distance.value)
        error = math.hypot(whole.distance.stderr, loop.distance.stderr)
        assert difference < EQUAL * error, f"one sampler, two distances: {loop} and {whole}"
        ours = fewest_steps(trained, candidates(), whole.distance, batch, batches)
        yield row(row_fields(RUN, "compiled", None), ours, whole, batch)


def row_fields(name: str, peer: str, at_least: float | None) -> dict[str, Any]:
    """Returns the fields of a row that need no run."""
    return {
        "case": f"{name}, to the same Fréchet distance, float32",
        "unit": "ms/image",
        "peer": f"predictor and corrector {peer}, {2 * STEPS} evaluations",
        "at_least": at_least,
    }


def row(fields: dict[str, Any], ours: FewestSteps, theirs: TimedSamples, batch: int) -> Row:
    """Compares the times of the batches in pairs."""
    seconds = ours.samples.seconds
    conditions = combine(ours.samples.conditions, theirs.conditions)
    return Row(
        **fields,
        **PairedTimes.of(seconds, theirs.seconds, conditions).times(1000 / batch),
        checked=f"{batch * len(seconds)} images: "
        f"Fréchet distance {format_distance(ours.samples.distance)} "
        f"in {ours.evaluations} evaluations, {format_distance(theirs.distance)} in {2 * STEPS}",
        **ours.program.costs(),
    )


def candidates() -> Iterator[tuple[int, Sampler]]:
    """Yields numbers of evaluations and our samplers with them, fewest first."""
    for steps in CANDIDATE_STEPS:
        yield steps + 1, ExponentialAdams(grid=LogSNRGrid(steps=steps))


def jumps() -> Iterator[tuple[int, Sampler]]:
    """Yields numbers of evaluations and the student's samplers with them, fewest first."""
    for count in CANDIDATE_JUMPS:
        yield count, PredictorCorrector(grid=JumpGrid(jumps=count), predictor=Renoise())


def time_batches(trained: TrainedModel, draw: DrawBatch, batches: int) -> TimedSamples:
    """Draws batches, and returns their times and their Fréchet distance."""
    times, images = [], []
    watch = Watch()
    for number in range(batches):

        def call(number: int = number) -> None:
            images.append(np.asarray(draw(number)))

        times.append(time_call(call))
        watch.probe()
    conditions = watch.conditions()
    x = np.concatenate(images)
    assert np.isfinite(x).all(), "a sample is not finite"
    return TimedSamples(times, conditions, trained.distance(x))


def compile_sampler(trained: TrainedModel, sampler: Sampler, batch: int) -> SamplerProgram:
    """Compiles one of our samplers and draws one untimed batch."""
    run, key = trained.run, jax.random.key(0)
    score, shape, sde = trained.score, run.layout.shape, run.experiment.process
    assert sde is not None
    program = compile_program(
        lambda score, keys: sampler(keys, score, sde, shape).x, score, example_keys(key, 0, batch)
    )

    def draw(number: int) -> jax.Array:
        return program.call(score, example_keys(key, number * batch, batch))

    draw(0)
    return SamplerProgram(draw, program)


def fewest_steps(
    trained: TrainedModel,
    samplers: Iterator[tuple[int, Sampler]],
    peer: FrechetDistance,
    batch: int,
    batches: int,
) -> FewestSteps:
    """Finds the first of the samplers whose distance matches the peer's up to the errors of both.

    Raises:
      AssertionError: if none is good enough.
    """
    for evaluations, sampler in samplers:
        draw, program = compile_sampler(trained, sampler, batch)
        samples = time_batches(trained, draw, batches)
        error = math.hypot(samples.distance.stderr, peer.stderr)
        if samples.distance.value <= peer.value + error:
            return FewestSteps(samples, evaluations, program)
    distance = format_distance(samples.distance)
    raise AssertionError(f"{evaluations} evaluations are not enough: {distance}")


def peer_sampler() -> PredictorCorrector:
    """Builds the peer from the library's samplers."""
    chain = DDPMChain(levels=STEPS)
    return PredictorCorrector(
        grid=PublishedGrid(steps=STEPS, t_min=END),
        predictor=ReverseDiffusion(transition=chain),
        corrector=Langevin(snr=SNR, step_size=BatchNormStep(), transition=chain),
        end="mean",
    )


def python_loop(trained: TrainedModel, batch: int) -> DrawBatch:
    """Builds the peer as in score_sde_pytorch: single operations and a compiled score."""
    run = trained.run
    sde, shape = run.experiment.process, (batch, *run.layout.shape)
    assert isinstance(sde, VP)
    betas = np.linspace(sde.beta_min / STEPS, sde.beta_max / STEPS, STEPS)
    inputs = jnp.zeros(shape), jnp.float32(1.0)
    program = compile_program(lambda score, x, t: score(x, t), trained.score, *inputs)

    def score(x: np.ndarray, t: np.float32) -> np.ndarray:
        return np.asarray(program.call(trained.score, x, t))

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
