"""How far from the training data are samples of trained networks in few evaluations?

    python -m benchmarks few_steps_trained --runs RUNS [--data-dir DIR]

The Fréchet distance in features of the runs' classifier with its standard error over samples, of
networks of digits and MNIST on VP, VE and sub-VP: UniPC and DPM-Solver++ 2M on log-SNR, the second
also in equal steps of time, and diffusers' DPM-Solver++ 2M, by default, told the process' own
noise. It stops falling near what the samples' number and the network allow.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.row import Asked, Row, Spread, not_installed
from benchmarks.trained import MissingRunError, Trained, error_of, opened
from sde_jax.metrics import FrechetDistance
from sde_jax.runs.generation import example_keys
from sde_jax.sampling import ExponentialAdams, LogSNRGrid, Sampler, UniformGrid, draw_prior
from sde_jax.score import denoised
from sde_jax.sde import LinearSDE

DIGITS = ("digits_vp", "digits_ve", "digits_subvp")
MNIST = ("mnist_vp_narrow", "mnist_ve_narrow", "mnist_subvp_narrow")
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
"""Of the scheduler's chain."""


def rows(asked: Asked) -> Iterator[Row]:
    """Each run in 10, 20 and 35 evaluations; if quick, the digits in 10."""
    for name in DIGITS + MNIST:
        try:
            if asked.quick and name in MNIST:
                raise MissingRunError("it takes longer than --quick allows")
            trained = opened(asked, name)
        except MissingRunError as error:
            case = f"{name}, Fréchet distance"
            yield Row(case=case, unit="", peer=PEER, missing=str(error), checked="")
            continue
        count = 256 if asked.quick else 512 if name in MNIST else 2048
        for evaluations in EVALUATIONS[:1] if asked.quick else EVALUATIONS:
            yield from of_run(name, trained, evaluations, count)


def of_run(name: str, trained: Trained, evaluations: int, count: int) -> Iterator[Row]:
    """The methods of ours beside the peer."""
    batch = min(count, 512)
    peer = by_diffusers(trained, evaluations, count, batch)
    for method, sampler_of in METHODS.items():
        sampler = sampler_of(evaluations - 1, trained.run.experiment.sde)
        x = trained.draw(sampler, count=count, batch_size=batch, evaluations=evaluations)
        ours = trained.distance(x)
        row: dict[str, Any] = {
            "case": f"{name}, Fréchet distance in {evaluations} evaluations, {method}",
            "unit": "",
            "ours": error_of(ours),
            "peer": PEER,
            "checked": f"{count} images, all finite; {ours.bias:.2f} is perfect; "
            f"features: {trained.features.name}",
        }
        if isinstance(peer, str):
            yield Row(**row, missing=peer)
        else:
            yield Row(**row, theirs=error_of(peer), ratio=ratio(ours, peer))


def last_time(sde: LinearSDE) -> float:
    """Where log-SNR's grid ends."""
    return float(LogSNRGrid(steps=1)(sde)[-1])


def ratio(ours: FrechetDistance, theirs: FrechetDistance) -> Spread:
    """Of two distances of independent errors."""
    value = theirs.value / ours.value
    relative = np.hypot(ours.stderr / ours.value, theirs.stderr / theirs.value)
    return Spread.of(value, abs(value * relative))


def by_diffusers(
    trained: Trained, evaluations: int, count: int, batch: int
) -> FrechetDistance | str:
    """The distance of what diffusers' scheduler draws from the same noise, or what is missing."""
    try:
        from benchmarks import diffusers_peer
    except ModuleNotFoundError as error:
        return not_installed(error)
    sde, score = trained.run.experiment.sde, trained.run.score
    levels = np.asarray(sde.noise_to_signal(jnp.linspace(last_time(sde), 1.0, LEVELS)))
    scheduler = diffusers_peer.scheduler(levels)

    @jax.jit
    def clean(y: jax.Array, level: float) -> jax.Array:
        t = sde.time_of(jnp.asarray(level, jnp.float32))
        return denoised(score, sde, sde.alpha(t) * y, t)

    drawn = []
    for first in range(0, count, batch):
        keys = example_keys(jax.random.key(0), first, batch)
        halves = jax.vmap(jax.random.split, out_axes=1)(keys)
        prior = draw_prior(halves[0], sde, trained.run.layout.shape)
        noise = np.asarray(prior / sde.alpha(jnp.float32(1.0)) / np.hypot(1.0, levels[-1]))
        drawn.append(diffusers_peer.draw(scheduler, evaluations, noise, clean))
    return trained.distance(np.concatenate(drawn)[:count])
