"""What does an evaluation cost that knows of a measurement?

    python -m benchmarks control

A sampler of 20 steps on a U-Net of digits, 64 images at once, with a mask for each: known pixels by
replacement and by DDNM, and PiGDM, which multiplies by a Jacobian, beside the same sampler without.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp

from benchmarks.row import Asked, Row
from benchmarks.timing import compiled, paired
from sde_jax.arrays import Array
from sde_jax.operators import Mask
from sde_jax.recipes import quickstart
from sde_jax.sampling import Ancestral, Constrained, KnownPixels, PredictorCorrector, UniformGrid
from sde_jax.score import DDNM, NetworkScore, PiGDM, Score

SHAPE = (8, 8, 1)
IMAGES = 64
STEPS = 20
AT_LEAST = {"replacement": 1 / 1.1, "DDNM": 1 / 1.1, "PiGDM": 1 / 3}
PLAIN = PredictorCorrector(grid=UniformGrid(steps=STEPS), predictor=Ancestral())

Sampling = Callable[[Array, Score, Array, Array], Array]


def plain(keys: Array, score: Score, data: Array, masks: Array) -> Array:
    """Without knowing."""
    return PLAIN(keys, score, quickstart().sde, SHAPE).x


def replacement(keys: Array, score: Score, data: Array, masks: Array) -> Array:
    """With the known pixels put into every step."""
    known = KnownPixels(data=data, mask=masks)
    return Constrained(sampler=PLAIN, constraint=known)(keys, score, quickstart().sde, SHAPE).x


def guided(kind: type[PiGDM] | type[DDNM]) -> Sampling:
    """With a guided score."""

    def draw(keys: Array, score: Score, data: Array, masks: Array) -> Array:
        sde = quickstart().sde
        guidance = kind(score=score, sde=sde, operator=Mask(masks), measurement=masks * data)
        return PLAIN(keys, guidance, sde, SHAPE).x

    return draw


def rows(asked: Asked) -> Iterator[Row]:
    """Every method beside plain sampling."""
    model = quickstart().model()
    score = NetworkScore(model.init(jax.random.key(0), SHAPE), model)
    keys = jax.random.split(jax.random.key(1), IMAGES)
    data = jax.random.uniform(jax.random.key(2), (IMAGES, *SHAPE), minval=-1.0)
    masks = (jax.random.uniform(jax.random.key(3), data.shape) < 0.5).astype(jnp.float32)
    arguments = keys, score, data, masks
    without = compiled(plain, *arguments)
    methods = {"replacement": replacement, "DDNM": guided(DDNM), "PiGDM": guided(PiGDM)}
    for name, method in methods.items():
        program = compiled(method, *arguments)
        none = program.call(keys, score, data, jnp.zeros_like(masks))
        difference = float(jnp.abs(none - without.call(*arguments)).max())
        if not difference < 1e-3:
            raise ValueError(f"{name}: without known pixels, samples differ by {difference:.2g}.")
        checked = f"with no pixel known, samples differ by {difference:.1e}"
        if name != "PiGDM":  # which an untrained network leads astray
            off = float(jnp.abs(masks * (program.call(*arguments) - data)).max())
            if not off < 1e-3:
                raise ValueError(f"{name}: known pixels are {off:.2g} off.")
            checked += f"; known pixels are {off:.1e} off"
        pairs = paired(
            lambda program=program: program.call(*arguments),
            lambda: without.call(*arguments),
            repeats=5 if asked.quick else 20,
        )
        evaluations = STEPS + 1
        yield Row(
            case=f"{name}, {IMAGES} digits, each with its mask, float32",
            unit="ms/evaluation",
            ours=pairs.ours.scaled(1000 / evaluations),
            peer="the same sampler, without",
            theirs=pairs.theirs.scaled(1000 / evaluations),
            ratio=pairs.ratio,
            at_least=AT_LEAST[name],
            compile_seconds=program.seconds,
            peak_bytes=program.peak_bytes,
            checked=checked,
        )
