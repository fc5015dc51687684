"""Measures the Fréchet distance of samples that trained networks draw in few evaluations.

    python -m benchmarks few_steps_trained --runs RUNS [--data-dir DIR]

The distance to the training data uses features of the runs' classifier and has a standard error
over samples. Networks of digits and MNIST on VP, VE, sub-VP and flow matching are sampled by the
default of `sde-jax sample RUN --sampler unipc`. The peer is the best of all solvers and spacings of
diffusers, with the noise levels of the process and the same noise. Being the least of many
distances, it is smaller than its expectation. The number of samples and the network limit how far
the distance can fall.
"""

from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.row import BenchmarkOptions, Row, Spread, not_installed
from benchmarks.trained import MissingRunError, TrainedModel, as_spread, open_trained
from sde_jax.metrics import FrechetDistance
from sde_jax.recipes import SamplerSettings
from sde_jax.runs import example_keys
from sde_jax.sampling import LogSNRGrid

DIGITS = ("digits_vp", "digits_ve", "digits_subvp", "digits_flow_matching")
MNIST = ("mnist_vp_narrow", "mnist_ve_narrow", "mnist_subvp_narrow", "mnist_flow_matching_narrow")
EVALUATIONS = (5, 8, 10, 15, 20)
NEARER_AT = (5, 8)
"""Numbers of evaluations at which our distance must be smaller beyond the errors."""
PEER = "the best of diffusers"
LEVELS = 1000
"""Noise levels of the scheduler's chain."""


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Samples each run in 5 to 20 evaluations; if quick, only the digits in 8."""
    for name in DIGITS + MNIST:
        try:
            if options.quick and name in MNIST:
                raise MissingRunError("it takes longer than --quick allows")
            trained = open_trained(options, name)
        except MissingRunError as error:
            case = f"{name}, Fréchet distance"
            yield Row(case=case, unit="", peer=PEER, missing=str(error), checked="")
            continue
        count = 256 if options.quick else 2048
        for evaluations in (8,) if options.quick else EVALUATIONS:
            yield compare(name, trained, evaluations, count)


def compare(name: str, trained: TrainedModel, evaluations: int, count: int) -> Row:
    """Compares our default with the best of the peers on one run."""
    batch = min(count, 512)
    settings = SamplerSettings(sampler="unipc", steps=evaluations - 1)
    x = trained.draw(settings, count=count, batch_size=batch, evaluations=evaluations)
    ours = trained.distance(x)
    case = f"{name}, Fréchet distance in {evaluations} evaluations"
    checked = (
        f"{count} images, all finite; {ours.bias:.2f} is perfect; features: {trained.features.name}"
    )
    peers = diffusers_distances(trained, evaluations, count, batch)
    if isinstance(peers, str):
        own = as_spread(ours)
        return Row(case=case, unit="", ours=own, peer=PEER, missing=peers, checked=checked)
    best = min(peers, key=lambda peer: peers[peer].value)
    return Row(
        case=case,
        unit="",
        ours=as_spread(ours),
        peer=f"{PEER}'s {len(peers)}: {best}",
        theirs=as_spread(peers[best]),
        ratio=distance_ratio(ours, peers[best]),
        at_least=target(ours, peers[best], evaluations),
        checked=checked,
    )


def target(ours: FrechetDistance, theirs: FrechetDistance, evaluations: int) -> float:
    """Returns the ratio to reach: one, plus or minus the errors of both distances."""
    error = np.hypot(ours.stderr, theirs.stderr) / ours.value
    return float(1 + error if evaluations in NEARER_AT else 1 - error)


def distance_ratio(ours: FrechetDistance, theirs: FrechetDistance) -> Spread:
    """Returns the peer's distance over ours, whose errors are independent."""
    value = theirs.value / ours.value
    relative = np.hypot(ours.stderr / ours.value, theirs.stderr / theirs.value)
    return Spread.of(value, abs(value * relative))


def diffusers_distances(
    trained: TrainedModel, evaluations: int, count: int, batch: int
) -> Mapping[str, FrechetDistance] | str:
    """Returns the distances of diffusers' samples from the same noise by solver and spacing, or the
    missing package."""
    try:
        from benchmarks import diffusers_peer as peer
    except ModuleNotFoundError as error:
        return not_installed(error)
    sde, shape = trained.run.experiment.process, trained.run.layout.shape
    times = jnp.linspace(LogSNRGrid(steps=1)(sde)[-1], 1.0, LEVELS)
    levels = np.asarray(sde.noise_to_signal(times))
    denoise = peer.denoiser(trained.score, sde)
    prior = [
        peer.prior_noise(example_keys(jax.random.key(0), first, batch), sde, shape)
        for first in range(0, count, batch)
    ]
    noise = np.asarray(prior) / float(sde.alpha(jnp.float32(1.0))) / np.hypot(1.0, levels[-1])
    distances = {}
    for solver in peer.SOLVERS:
        for spacing, settings in peer.SPACINGS.items():
            if spacing == "lu" and solver != "DPM-Solver++ 2M":
                continue
            scheduler = peer.scheduler(levels, solver, **settings)
            drawn = [
                peer.draw(scheduler, evaluations, part.astype(np.float32), denoise)
                for part in noise
            ]
            found = np.concatenate(drawn)[:count]
            if np.isfinite(found).all():
                distances[f"{solver}, {spacing}"] = trained.distance(found)
    return distances
