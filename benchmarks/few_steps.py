"""Measures the error of few evaluations of an exact score at the end of the probability flow.

    python -m benchmarks few_steps

The score is that of a mixture of 10 Gaussians in 64 dimensions, in float64. Every process covers
the same range of noise_to_signal, .0105 to 152, and starts from the same noise. The error is the
root mean square, per coordinate of x / alpha, to a solve of 2000 steps, with its standard error
over samples; ratios have standard errors of pairs. Fitted times are compared with the best of three
spacings. The other peer is diffusers' DPM-Solver++ 2M on VP.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.row import BenchmarkOptions, Row, Spread, not_installed
from sde_jax.sampling import (
    DDIM,
    ExponentialAdams,
    GridSampler,
    Heun,
    KarrasGrid,
    LogSNRGrid,
    PredictorCorrector,
    Sampler,
    TimeGrid,
    UniformGrid,
    fit_grid,
)
from sde_jax.score import GaussianMixture, MixtureScore
from sde_jax.sde import VE, VP, CosineVP, FlowMatching, LinearSDE, OrnsteinUhlenbeck, SubVP

EVALUATIONS = (10, 20, 35)
LEAST, MOST = 0.0105, 152.0
"""Range of noise_to_signal."""
DIMENSION = 64
PEER = "diffusers' DPM-Solver++ 2M, VP"
REFERENCE_STEPS = 2000
FITTED_TO = 128
"""Pilot samples, of other noise."""
SOLVER_TOLERANCE = 1e-4
"""Largest root mean square between two reference solves."""

PROCESSES: dict[str, LinearSDE] = {
    "VP": VP(),
    "sub-VP": SubVP(),
    "VE": VE(sigma_min=0.01, sigma_max=MOST),
    "OU": OrnsteinUhlenbeck(beta=math.log(MOST), s=math.sqrt(2 * math.log(MOST))),
    "cosine": CosineVP(log_snr_prior=-2 * math.log(MOST)),
    "flow matching": FlowMatching(noise_to_signal_prior=MOST),
}
GRIDS: dict[str, Callable[[int], TimeGrid]] = {
    "log-SNR": lambda steps: LogSNRGrid(steps=steps, last=LEAST),
    "Karras": lambda steps: KarrasGrid(steps=steps, last=LEAST),
}
METHODS: dict[str, Callable[[TimeGrid], GridSampler]] = {
    "DDIM": lambda grid: PredictorCorrector(grid=grid, predictor=DDIM(), end="state"),
    "Heun": lambda grid: PredictorCorrector(grid=grid, predictor=Heun(), end="state"),
    "DPM-Solver++ 2M": lambda grid: adams(grid, 2, corrected=False),
    "DPM-Solver++ 3M": lambda grid: adams(grid, 3, corrected=False),
    "UniPC-3": lambda grid: adams(grid, 3, corrected=True),
    "UniPC-3, last orders lower": lambda grid: adams(grid, 3, corrected=True, orders="falling"),
    "UniPC-3, full order": lambda grid: adams(grid, 3, corrected=True, orders="full"),
    "order 4, corrected": lambda grid: adams(grid, 4, corrected=True),
}


class Errors(NamedTuple):
    """Mean squared errors over the coordinates of each sample."""

    squares: np.ndarray

    @property
    def rms(self) -> Spread:
        """Root of the mean, with its standard error."""
        value = math.sqrt(self.squares.mean())
        return Spread.of(value, self.squares.std(ddof=1) / len(self.squares) ** 0.5 / (2 * value))

    def times_less_than(self, other: "Errors") -> Spread:
        """Returns the other root mean square over this one, with the standard error of pairs."""
        ratio = math.sqrt(other.squares.mean() / self.squares.mean())
        shares = [squares / squares.mean() for squares in (other.squares, self.squares)]
        relative = (shares[0] - shares[1]).std(ddof=1) / 2 / len(self.squares) ** 0.5
        return Spread.of(ratio, ratio * relative)


class Reference(NamedTuple):
    """Exact ends of the flow, for the noise from which all methods start."""

    x: np.ndarray
    checked: str

    def errors(self, x: np.ndarray) -> Errors:
        """Returns the errors of other ends."""
        return Errors(((x - self.x) ** 2).mean(axis=1))


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Compares UniPC-3 with diffusers, across processes and on fitted times; unless quick, every
    method too."""
    jax.config.update("jax_enable_x64", True)
    spacings = ("by default", "exponential") if options.quick else None
    reference = solve_reference(64 if options.quick else 1024)
    others = ("sub-VP", "VE") if options.quick else tuple(PROCESSES)[1:]
    for evaluations in EVALUATIONS:
        ours = method_errors("UniPC-3", "log-SNR", "VP", evaluations, reference)
        peers = diffusers_errors(evaluations, reference, spacings)
        yield from compare_with_diffusers(evaluations, ours, peers, reference)
        for process in others:
            errors = method_errors("UniPC-3", "log-SNR", process, evaluations, reference)
            case = f"UniPC-3, log-SNR, {process}, {evaluations} evaluations"
            yield row(case, errors, "the same on VP", ours, reference, at_least=1 / 1.1)
        yield from fitted_times(evaluations, others, reference)
        if not options.quick:
            yield from all_methods(evaluations, peers, reference)


def compare_with_diffusers(
    evaluations: int, ours: Errors, peers: Mapping[str, Errors] | str, reference: Reference
) -> Iterator[Row]:
    """Compares UniPC-3 with each spacing of diffusers; the default and the best have a target."""
    case = f"UniPC-3, log-SNR, VP, {evaluations} evaluations"
    if isinstance(peers, str):
        yield row(case, ours, PEER, peers, reference, at_least=1.0)
        return
    best = min(peers, key=lambda name: peers[name].rms.value)
    for name, theirs in peers.items():
        at_least = 1.0 if name in ("by default", best) else None
        yield row(case, ours, f"{PEER}, {name}", theirs, reference, at_least=at_least)


def fitted_times(evaluations: int, others: Iterable[str], reference: Reference) -> Iterator[Row]:
    """Compares times fitted to the score with the best of three spacings of each process."""
    keys = jax.random.split(jax.random.key(1), FITTED_TO)
    sampler = METHODS["UniPC-3"](GRIDS["log-SNR"](evaluations))
    for process in ("VP", *others):
        sde = PROCESSES[process]
        last = float(sde.time_of(jnp.asarray(LEAST)))
        grids = {name: make(evaluations) for name, make in GRIDS.items()}
        grids["uniform in t"] = UniformGrid(steps=evaluations, t_min=last)
        of_spacings = {
            name: reference.errors(ends(METHODS["UniPC-3"](grid), sde, len(reference.x)))
            for name, grid in grids.items()
        }
        best = min(of_spacings, key=lambda name: of_spacings[name].rms.value)
        fitted = fit_grid(keys, MixtureScore(mixture(), sde), sde, (DIMENSION,), sampler)
        ours = reference.errors(ends(METHODS["UniPC-3"](fitted), sde, len(reference.x)))
        case = f"UniPC-3, fitted, {process}, {evaluations} evaluations"
        peer = f"the best of three spacings: {best}"
        yield row(case, ours, peer, of_spacings[best], reference, at_least=1.0)


def all_methods(
    evaluations: int, peers: Mapping[str, Errors] | str, reference: Reference
) -> Iterator[Row]:
    """Compares every method, on both grids and VP, with diffusers by default."""
    theirs = peers if isinstance(peers, str) else peers["by default"]
    for method in METHODS:
        for grid in GRIDS:
            if (method, grid) != ("UniPC-3", "log-SNR"):
                errors = method_errors(method, grid, "VP", evaluations, reference)
                case = f"{method}, {grid}, VP, {evaluations} evaluations"
                yield row(case, errors, f"{PEER}, by default", theirs, reference)


def row(
    case: str,
    ours: Errors,
    peer: str,
    theirs: Errors | str,
    reference: Reference,
    at_least: float | None = None,
) -> Row:
    """Compares two root mean square errors; ``theirs`` may be the reason why it is missing."""
    row = {"case": case, "unit": "rms", "ours": ours.rms, "peer": peer, "at_least": at_least}
    if isinstance(theirs, str):
        return Row(**row, missing=theirs, checked=reference.checked)
    ratio = ours.times_less_than(theirs)
    return Row(**row, theirs=theirs.rms, ratio=ratio, checked=reference.checked)


def adams(grid: TimeGrid, order: int, **settings: Any) -> ExponentialAdams:
    """Builds a multistep method that returns the last state."""
    return ExponentialAdams(grid=grid, order=order, end="state", **settings)


def mixture() -> GaussianMixture:
    """Builds ten Gaussians: deviations .1 to .5, means -.5 to .5, and unequal weights."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(10, 3.0))
    means = rng.uniform(-0.5, 0.5, (10, DIMENSION))
    variances = rng.uniform(0.1, 0.5, (10, DIMENSION)) ** 2
    return GaussianMixture(*(jnp.asarray(array) for array in (weights, means, variances)))


def solve_reference(count: int) -> Reference:
    """Solves the flow by Heun's method and checks it against UniPC-3.

    Raises:
      AssertionError: if the two solves differ.
    """
    fine = GRIDS["log-SNR"](REFERENCE_STEPS)
    x, other = (ends(METHODS[name](fine), PROCESSES["VP"], count) for name in ("Heun", "UniPC-3"))
    difference = Reference(x, "").errors(other).rms.value
    assert difference < SOLVER_TOLERANCE, f"two solves of the flow differ by {difference:.1e}"
    return Reference(x, f"{count} samples; two solves in {REFERENCE_STEPS} steps: {difference:.0e}")


def method_errors(
    method: str, grid: str, process: str, evaluations: int, reference: Reference
) -> Errors:
    """Returns the errors of one of our methods."""
    steps = evaluations // 2 if method == "Heun" else evaluations
    sampler = METHODS[method](GRIDS[grid](steps))
    return reference.errors(ends(sampler, PROCESSES[process], len(reference.x)))


def ends(sampler: Sampler, sde: LinearSDE, count: int) -> np.ndarray:
    """Returns the last states divided by alpha, always from the same noise."""
    keys = jax.random.split(jax.random.key(0), count)
    score, last = MixtureScore(mixture(), sde), sde.time_of(jnp.asarray(LEAST))
    run = jax.jit(lambda keys: sampler(keys, score, sde, (DIMENSION,)).x / sde.alpha(last))
    return np.asarray(run(keys))


def diffusers_errors(
    evaluations: int, reference: Reference, spacings: Sequence[str] | None
) -> dict[str, Errors] | str:
    """Returns the errors of diffusers on VP by spacing (None: all), or the missing package."""
    try:
        from benchmarks import diffusers_peer
    except ModuleNotFoundError as error:
        return not_installed(error)
    sde = PROCESSES["VP"]
    keys = jax.random.split(jax.random.key(0), len(reference.x))
    noise = np.asarray(diffusers_peer.prior_noise(keys, sde, (DIMENSION,)))
    levels = sde.noise_to_signal(jnp.linspace(sde.time_of(jnp.asarray(LEAST)), 1.0, 1000))
    denoise = diffusers_peer.denoiser(MixtureScore(mixture(), sde), sde)
    denoised_ends = Reference(np.asarray(denoise(reference.x, LEAST)), reference.checked)
    errors = {}
    for name in spacings or diffusers_peer.SPACINGS:
        settings = diffusers_peer.SPACINGS[name]
        scheduler = diffusers_peer.scheduler(np.asarray(levels), **settings)
        y = diffusers_peer.draw(scheduler, evaluations, noise, denoise)
        exact = reference if scheduler.sigmas[-1] > 0 else denoised_ends
        errors[name] = exact.errors(y)
    return errors
