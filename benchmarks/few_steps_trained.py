"""Measures the Fréchet distance of samples that trained networks draw in few evaluations.

    python -m benchmarks few_steps_trained --runs RUNS [--data-dir DIR]

The distance to the training data uses features of the runs' classifier and has a standard error
over samples. Networks of digits and MNIST on VP, VE, sub-VP and flow matching are sampled by
UniPC and DPM-Solver++ 2M on the log-SNR grid, by the latter also in equal steps of time, and by
diffusers' DPM-Solver++ 2M with default settings and the noise levels of the process. The number of
samples and the network limit how far the distance can fall.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.row import BenchmarkOptions, Row, Spread, not_installed
from benchmarks.trained import MissingRunError, TrainedModel, as_spread, open_trained
from sde_jax.metrics import FrechetDistance
from sde_jax.runs import example_keys
from sde_jax.sampling import ExponentialAdams, LogSNRGrid, Sampler, UniformGrid
from sde_jax.sde import LinearSDE

DIGITS = ("digits_vp", "digits_ve", "digits_subvp", "digits_flow_matching")
MNIST = ("mnist_vp_narrow", "mnist_ve_narrow", "mnist_subvp_narrow", "mnist_flow_matching_narrow")
EVALUATIONS = (10, 20, 35)
SECOND_ORDER = {"order": 2, "corrected": False}
METHODS: dict[str, Callable[[int, LinearSDE], Sampler]] = {
    "UniPC-3": lambda steps, sde: ExponentialAdams(grid=LogSNRGrid(steps=steps)),
    "DPM-Solver++ 2M": lambda steps, sde: ExponentialAdams(
        grid=LogSNRGrid(steps=steps), **SECOND_ORDER
    ),
    "DPM-Solver++ 2M, uniform in t": lambda steps, sde: ExponentialAdams(
        grid=UniformGrid(steps=steps, t_min=last_time(sde)), **SECOND_ORDER
    ),
}
PEER = "diffusers' DPM-Solver++ 2M, by default"
LEVELS = 1000
"""Noise levels of the scheduler's chain."""


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Samples each run in 10, 20 and 35 evaluations; if quick, only the digits in 10."""
    for name in DIGITS + MNIST:
        try:
            if options.quick and name in MNIST:
                raise MissingRunError("it takes longer than --quick allows")
            trained = open_trained(options, name)
        except MissingRunError as error:
            case = f"{name}, Fréchet distance"
            yield Row(case=case, unit="", peer=PEER, missing=str(error), checked="")
            continue
        count = 256 if options.quick else 512 if name in MNIST else 2048
        for evaluations in EVALUATIONS[:1] if options.quick else EVALUATIONS:
            yield from compare(name, trained, evaluations, count)


def compare(name: str, trained: TrainedModel, evaluations: int, count: int) -> Iterator[Row]:
    """Compares our methods with the peer on one run."""
    batch = min(count, 512)
    peer = diffusers_distance(trained, evaluations, count, batch)
    for method, build in METHODS.items():
        sampler = build(evaluations - 1, trained.run.experiment.sde)
        x = trained.draw(sampler, count=count, batch_size=batch, evaluations=evaluations)
        ours = trained.distance(x)
        row: dict[str, Any] = {
            "case": f"{name}, Fréchet distance in {evaluations} evaluations, {method}",
            "unit": "",
            "ours": as_spread(ours),
            "peer": PEER,
            "checked": f"{count} images, all finite; {ours.bias:.2f} is perfect; "
            f"features: {trained.features.name}",
        }
        if isinstance(peer, str):
            yield Row(**row, missing=peer)
        else:
            yield Row(**row, theirs=as_spread(peer), ratio=distance_ratio(ours, peer))


def last_time(sde: LinearSDE) -> float:
    """Returns the last time of the log-SNR grid."""
    return float(LogSNRGrid(steps=1)(sde)[-1])


def distance_ratio(ours: FrechetDistance, theirs: FrechetDistance) -> Spread:
    """Returns the peer's distance over ours, whose errors are independent."""
    value = theirs.value / ours.value
    relative = np.hypot(ours.stderr / ours.value, theirs.stderr / theirs.value)
    return Spread.of(value, abs(value * relative))


def diffusers_distance(
    trained: TrainedModel, evaluations: int, count: int, batch: int
) -> FrechetDistance | str:
    """Returns the distance of diffusers' samples from the same noise, or the missing package."""
    try:
        from benchmarks import diffusers_peer
    except ModuleNotFoundError as error:
        return not_installed(error)
    run = trained.run
    sde = run.experiment.sde
    levels = np.asarray(sde.noise_to_signal(jnp.linspace(last_time(sde), 1.0, LEVELS)))
    scheduler = diffusers_peer.scheduler(levels)
    denoise = diffusers_peer.denoiser(run.score, sde)
    parts = []
    for first in range(0, count, batch):
        keys = example_keys(jax.random.key(0), first, batch)
        prior = diffusers_peer.prior_noise(keys, sde, run.layout.shape)
        noise = np.asarray(prior / sde.alpha(jnp.float32(1.0)) / np.hypot(1.0, levels[-1]))
        parts.append(diffusers_peer.draw(scheduler, evaluations, noise, denoise))
    return trained.distance(np.concatenate(parts)[:count])
