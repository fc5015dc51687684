"""Measures the cost of an evaluation that is conditioned on a measurement.

    python -m benchmarks control

A sampler makes 20 steps with a U-Net of digits, for 64 images at once and a mask for each. Known
pixels are imposed by replacement, by DDNM and by PiGDM, which multiplies by a Jacobian. The peer is
the same sampler without a measurement.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp

from benchmarks.row import BenchmarkOptions, Row
from benchmarks.timing import compile_program, time_pairs
from sde_jax.arrays import Array
from sde_jax.operators import Mask
from sde_jax.recipes import quickstart
from sde_jax.sampling import Ancestral, Constrained, KnownPixels, PredictorCorrector, UniformGrid
from sde_jax.score import DDNM, NetworkScore, PiGDM, Score

SHAPE = (8, 8, 1)
IMAGES = 64
STEPS = 20
TOLERANCE = 1e-3
"""Largest difference of samples that must be equal, and of known pixels from their values."""
AT_LEAST = {"replacement": 1 / 1.1, "DDNM": 1 / 1.1, "PiGDM": 1 / 3}
PLAIN = PredictorCorrector(grid=UniformGrid(steps=STEPS), predictor=Ancestral())

SampleFunction = Callable[[Array, Score, Array, Array], Array]


def unconditional(keys: Array, score: Score, data: Array, masks: Array) -> Array:
    """Draws samples without a measurement."""
    return PLAIN(keys, score, quickstart().sde, SHAPE).x


def replacement(keys: Array, score: Score, data: Array, masks: Array) -> Array:
    """Draws samples and replaces the known pixels in every step."""
    known = KnownPixels(data=data, mask=masks)
    return Constrained(sampler=PLAIN, constraint=known)(keys, score, quickstart().sde, SHAPE).x


def guided(kind: type[PiGDM] | type[DDNM]) -> SampleFunction:
    """Returns a function that draws samples with a guided score."""

    def draw(keys: Array, score: Score, data: Array, masks: Array) -> Array:
        sde = quickstart().sde
        guidance = kind(score=score, sde=sde, operator=Mask(masks), measurement=masks * data)
        return PLAIN(keys, guidance, sde, SHAPE).x

    return draw


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Compares every method with unconditional sampling."""
    model = quickstart().model()
    score = NetworkScore(model.init(jax.random.key(0), SHAPE), model)
    keys = jax.random.split(jax.random.key(1), IMAGES)
    data = jax.random.uniform(jax.random.key(2), (IMAGES, *SHAPE), minval=-1.0)
    masks = (jax.random.uniform(jax.random.key(3), data.shape) < 0.5).astype(jnp.float32)
    arguments = keys, score, data, masks
    plain = compile_program(unconditional, *arguments)
    methods = {"replacement": replacement, "DDNM": guided(DDNM), "PiGDM": guided(PiGDM)}
    for name, method in methods.items():
        program = compile_program(method, *arguments)
        without_known = program.call(keys, score, data, jnp.zeros_like(masks))
        difference = float(jnp.abs(without_known - plain.call(*arguments)).max())
        if not difference < TOLERANCE:
            raise ValueError(f"{name}: without known pixels, samples differ by {difference:.2g}.")
        checked = f"with no pixel known, samples differ by {difference:.1e}"
        if name != "PiGDM":  # With an untrained network its samples miss the known pixels.
            error = float(jnp.abs(masks * (program.call(*arguments) - data)).max())
            if not error < TOLERANCE:
                raise ValueError(f"{name}: known pixels are {error:.2g} off.")
            checked += f"; known pixels are {error:.1e} off"
        pairs = time_pairs(
            lambda program=program: program.call(*arguments),
            lambda: plain.call(*arguments),
            repeats=5 if options.quick else 20,
        )
        yield Row(
            case=f"{name}, {IMAGES} digits, each with its mask, float32",
            unit="ms/evaluation",
            peer="the same sampler, without",
            **pairs.times(1000 / (STEPS + 1)),
            at_least=AT_LEAST[name],
            checked=checked,
            **program.costs(),
        )
