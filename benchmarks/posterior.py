"""Measures the error of each conditional sampler against a known posterior, with an exact score.

    python -m benchmarks posterior

Two coordinates of a Gaussian have unit variances and a correlation. The first is measured as 1 with
noise of deviation .01. The figures are mean and deviation of the second by VP in 1000 ancestral
steps, with standard errors over samples, next to the true ones.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.row import BenchmarkOptions, Row, Spread
from sde_jax.operators import Mask
from sde_jax.sampling import Ancestral, Constrained, KnownPixels, PredictorCorrector, UniformGrid
from sde_jax.score import DDNM, DPS, GaussianMixture, MixtureScore, PiGDM
from sde_jax.sde import VP

CORRELATIONS = (0.5, 0.9, 0.99)
NOISE = 0.01
STEPS = 1000
KNOWN = jnp.asarray([[1.0, 0.0]])
PLAIN = PredictorCorrector(grid=UniformGrid(steps=STEPS), predictor=Ancestral())
TOLERANCE = 0.1
"""Largest mean error of the measured coordinate, except for DPS."""

SampleFunction = Callable[[jax.Array, MixtureScore], jax.Array]


def guided(kind: type[PiGDM] | type[DDNM] | type[DPS], **settings: float) -> SampleFunction:
    """Returns a function that draws samples with a guided score."""

    def draw(keys: jax.Array, score: MixtureScore) -> jax.Array:
        guidance = kind(
            score=score, sde=score.sde, operator=Mask(KNOWN), measurement=KNOWN, **settings
        )
        return PLAIN(keys, guidance, score.sde, (2,)).x

    return draw


def replacement(repeats: int) -> SampleFunction:
    """Returns a function that draws samples by replacement."""

    def draw(keys: jax.Array, score: MixtureScore) -> jax.Array:
        known = KnownPixels(data=jnp.broadcast_to(KNOWN, (len(keys), 2)), mask=KNOWN)
        sampler = Constrained(sampler=PLAIN, constraint=known, repeats=repeats)
        return sampler(keys, score, score.sde, (2,)).x

    return draw


METHODS: dict[str, SampleFunction] = {
    "replacement": replacement(1),
    "RePaint, 3 repetitions": replacement(3),
    "RePaint, 10 repetitions": replacement(10),
    "PiGDM": guided(PiGDM, noise=NOISE),
    "DDNM": guided(DDNM, noise=NOISE),
    "DPS": guided(DPS),
}


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Yields mean and deviation by every method, for each correlation."""
    count = 2_000 if options.quick else 20_000
    keys = jax.random.split(jax.random.key(0), count)
    for correlation in CORRELATIONS:
        covariance = jnp.asarray([[1.0, correlation], [correlation, 1.0]])
        data = GaussianMixture.from_covariances(jnp.ones(1), jnp.zeros((1, 2)), covariance[None])
        mean = correlation / (1 + NOISE**2)
        deviation = (1 - correlation * mean) ** 0.5
        for name, draw in METHODS.items():
            x = np.asarray(jax.jit(draw)(keys, MixtureScore(data, VP())), np.float64)
            yield from compare(f"{name}, correlation {correlation:g}", x, mean, deviation)


def compare(case: str, x: np.ndarray, mean: float, deviation: float) -> Iterator[Row]:
    """Compares mean and deviation of the second coordinate with the true ones."""
    error = float(np.abs(x[:, 0] - 1).mean())
    if not (error < TOLERANCE or case.startswith("DPS")):
        raise ValueError(f"{case}: the first coordinate is {error:.3g} off its measurement.")
    second, stderr = x[:, 1], x[:, 1].std() / len(x) ** 0.5
    for name, estimate, truth in (
        ("mean", Spread.of(second.mean(), stderr), mean),
        ("deviation", Spread.of(second.std(), stderr / 2**0.5), deviation),
    ):
        yield Row(
            case=f"{case}: {name}",
            unit="",
            ours=estimate,
            peer="the true posterior",
            theirs=Spread.of(truth),
            checked=f"{len(x):,} samples; the first coordinate is {error:.1e} off",
        )
