"""How far from the flow's end do a few evaluations of an exact score lead?

    python -m benchmarks few_steps

The score is that of a mixture of 10 Gaussians in 64 dimensions, in float64. Every process has the
same range of noise_to_signal, .0105 to 152, and starts from the same noise; the distance is the
root mean square of a coordinate of x / alpha to a solve of 2000 steps, with its standard error over
samples; that of a ratio is of pairs. The peer is diffusers' DPM-Solver++ 2M on VP.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.row import Asked, Row, Spread, not_installed
from sde_jax.sampling import (
    DDIM,
    ExponentialAdams,
    Heun,
    KarrasGrid,
    LogSNRGrid,
    PredictorCorrector,
    Sampler,
    TimeGrid,
    draw_prior,
)
from sde_jax.score import GaussianMixture, MixtureScore, denoised
from sde_jax.sde import VE, VP, CosineVP, LinearSDE, OrnsteinUhlenbeck, SubVP

EVALUATIONS = (10, 20, 35)
LEAST, MOST = 0.0105, 152.0
DIMENSION = 64
REFERENCE_STEPS = 2000
SAME_SOLVE = 1e-4
UNIT = "rms"

PROCESSES: dict[str, LinearSDE] = {
    "VP": VP(),
    "sub-VP": SubVP(),
    "VE": VE(sigma_min=0.01, sigma_max=MOST),
    "OU": OrnsteinUhlenbeck(beta=math.log(MOST), s=math.sqrt(2 * math.log(MOST))),
    "cosine": CosineVP(log_snr_prior=-2 * math.log(MOST)),
}
GRIDS: dict[str, Callable[[int], TimeGrid]] = {
    "log-SNR": lambda steps: LogSNRGrid(steps=steps, last=LEAST),
    "Karras": lambda steps: KarrasGrid(steps=steps, last=LEAST),
}
METHODS: dict[str, Callable[[TimeGrid], Sampler]] = {
    "DDIM": lambda grid: PredictorCorrector(grid=grid, predictor=DDIM(), end="state"),
    "Heun": lambda grid: PredictorCorrector(grid=grid, predictor=Heun(), end="state"),
    "DPM-Solver++ 2M": lambda grid: adams(grid, 2, corrected=False),
    "DPM-Solver++ 3M": lambda grid: adams(grid, 3, corrected=False),
    "UniPC-3": lambda grid: adams(grid, 3, corrected=True),
    "UniPC-3, last orders lower": lambda grid: adams(grid, 3, corrected=True, falling=True),
    "order 4, corrected": lambda grid: adams(grid, 4, corrected=True),
}


class Distances(NamedTuple):
    """The mean square of each sample's coordinates."""

    squares: np.ndarray

    @property
    def rms(self) -> Spread:
        """The root of the mean, with its standard error."""
        value = math.sqrt(self.squares.mean())
        return Spread.of(value, self.squares.std(ddof=1) / len(self.squares) ** 0.5 / (2 * value))

    def times_less_than(self, other: "Distances") -> Spread:
        """The ratio to another's root mean square, with the standard error of pairs."""
        ratio = math.sqrt(other.squares.mean() / self.squares.mean())
        shares = [squares / squares.mean() for squares in (other.squares, self.squares)]
        relative = (shares[0] - shares[1]).std(ddof=1) / 2 / len(self.squares) ** 0.5
        return Spread.of(ratio, ratio * relative)


class Reference(NamedTuple):
    """Where the flow ends, from the same noise for all."""

    x: np.ndarray
    checked: str

    def distances(self, x: np.ndarray) -> Distances:
        """Of other ends."""
        return Distances(((x - self.x) ** 2).mean(axis=1))


def rows(asked: Asked) -> Iterator[Row]:
    """UniPC-3 beside diffusers and on other processes; unless quick, all methods and grids, too."""
    jax.config.update("jax_enable_x64", True)
    spacings = ("by default", "exponential") if asked.quick else None
    known = reference(64 if asked.quick else 1024)
    others = ("sub-VP", "VE") if asked.quick else tuple(PROCESSES)[1:]
    for evaluations in EVALUATIONS:
        ours = by_method("UniPC-3", "log-SNR", "VP", evaluations, known)
        peers = diffusers_distances(evaluations, known, spacings)
        yield from beside_diffusers(evaluations, ours, peers, known)
        for process in others:
            found = by_method("UniPC-3", "log-SNR", process, evaluations, known)
            case = f"UniPC-3, log-SNR, {process}, {evaluations} evaluations"
            yield row(case, found, "the same on VP", ours, known, at_least=1 / 1.1)
        if not asked.quick:
            yield from survey(evaluations, peers, known)


def beside_diffusers(
    evaluations: int, ours: Distances, peers: Mapping[str, Distances] | str, known: Reference
) -> Iterator[Row]:
    """UniPC-3 and each spacing of diffusers; all but the default and the best are for knowledge."""
    case = f"UniPC-3, log-SNR, VP, {evaluations} evaluations"
    if isinstance(peers, str):
        peer = "diffusers' DPM-Solver++ 2M, VP"
        yield row(case, ours, peer, None, known, missing=peers, at_least=1.0)
        return
    best = min(peers, key=lambda name: peers[name].rms.value)
    for name, theirs in peers.items():
        at_least = 1.0 if name in ("by default", best) else None
        peer = f"diffusers' DPM-Solver++ 2M, VP, {name}"
        yield row(case, ours, peer, theirs, known, at_least=at_least)


def survey(
    evaluations: int, peers: Mapping[str, Distances] | str, known: Reference
) -> Iterator[Row]:
    """Every method on both grids, on VP."""
    missing = peers if isinstance(peers, str) else ""
    theirs = None if isinstance(peers, str) else peers["by default"]
    peer = "diffusers' DPM-Solver++ 2M, VP, by default"
    for method in METHODS:
        for grid in GRIDS:
            if (method, grid) != ("UniPC-3", "log-SNR"):
                found = by_method(method, grid, "VP", evaluations, known)
                case = f"{method}, {grid}, VP, {evaluations} evaluations"
                yield row(case, found, peer, theirs, known, missing=missing)


def row(
    case: str,
    ours: Distances,
    peer: str,
    theirs: Distances | None,
    known: Reference,
    *,
    missing: str = "",
    at_least: float | None = None,
) -> Row:
    """Two distances."""
    return Row(
        case=case,
        unit=UNIT,
        ours=ours.rms,
        peer=peer,
        theirs=None if theirs is None else theirs.rms,
        missing=missing,
        ratio=None if theirs is None else ours.times_less_than(theirs),
        at_least=at_least,
        checked=known.checked,
    )


def adams(grid: TimeGrid, order: int, *, corrected: bool, falling: bool = False) -> Sampler:
    """A multistep method that ends in the last state."""
    return ExponentialAdams(
        grid=grid, order=order, corrected=corrected, lower_order_final=falling, end="state"
    )


def mixture() -> GaussianMixture:
    """Ten Gaussians with deviations from .1 to .5 and means from -.5 to .5, of unequal weights."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(10, 3.0))
    means = rng.uniform(-0.5, 0.5, (10, DIMENSION))
    variances = rng.uniform(0.1, 0.5, (10, DIMENSION)) ** 2
    return GaussianMixture(*(jnp.asarray(array) for array in (weights, means, variances)))


def reference(count: int) -> Reference:
    """By Heun's method, which UniPC-3 must confirm.

    Raises:
      AssertionError: unless it does.
    """
    fine = GRIDS["log-SNR"](REFERENCE_STEPS)
    x, other = (draw(METHODS[name](fine), PROCESSES["VP"], count) for name in ("Heun", "UniPC-3"))
    apart = Reference(x, "").distances(other).rms.value
    assert apart < SAME_SOLVE, f"two solves of the flow differ by {apart:.1e}"
    return Reference(x, f"{count} samples; two solves in {REFERENCE_STEPS} steps: {apart:.0e}")


def by_method(
    method: str, grid: str, process: str, evaluations: int, known: Reference
) -> Distances:
    """Of the ends of a method of ours."""
    steps = evaluations // 2 if method == "Heun" else evaluations
    sampler = METHODS[method](GRIDS[grid](steps))
    return known.distances(draw(sampler, PROCESSES[process], len(known.x)))


def draw(sampler: Sampler, sde: LinearSDE, count: int) -> np.ndarray:
    """The last states over alpha, always from the same noise."""
    keys = jax.random.split(jax.random.key(0), count)
    score, last = MixtureScore(mixture(), sde), sde.time_of(jnp.asarray(LEAST))
    run = jax.jit(lambda keys: sampler(keys, score, sde, (DIMENSION,)).x / sde.alpha(last))
    return np.asarray(run(keys))


def diffusers_distances(
    evaluations: int, known: Reference, spacings: Sequence[str] | None
) -> dict[str, Distances] | str:
    """Of diffusers' ends on VP, by its spacings (None: all), or what is missing."""
    try:
        from benchmarks import diffusers_peer
    except ModuleNotFoundError as error:
        return not_installed(error)
    sde = PROCESSES["VP"]
    keys = jax.random.split(jax.random.key(0), len(known.x))
    halves = jax.vmap(jax.random.split, out_axes=1)(keys)
    noise = np.asarray(draw_prior(halves[0], sde, (DIMENSION,)))
    levels = sde.noise_to_signal(jnp.linspace(sde.time_of(jnp.asarray(LEAST)), 1.0, 1000))
    clean = jax.jit(posterior_mean)
    denoised_ends = Reference(np.asarray(clean(known.x, LEAST)), known.checked)
    found = {}
    for name in spacings or diffusers_peer.SPACINGS:
        settings = diffusers_peer.SPACINGS[name]
        scheduler = diffusers_peer.scheduler(np.asarray(levels), **settings)
        y = diffusers_peer.draw(scheduler, evaluations, noise, clean)
        ends = known if scheduler.sigmas[-1] > 0 else denoised_ends
        found[name] = ends.distances(y)
    return found


def posterior_mean(y: jax.Array, level: float) -> jax.Array:
    """Of x / alpha with this noise_to_signal."""
    sde = PROCESSES["VP"]
    t = sde.time_of(jnp.asarray(level))
    return denoised(MixtureScore(mixture(), sde), sde, sde.alpha(t) * y, t)
