"""How far from the flow's end do a few evaluations of the score lead?

    python -m benchmarks.few_steps [--quick]

The score is exact, of a mixture of 10 Gaussians in 64 dimensions. Every process has the same range
of noise_to_signal, .0105 to 152, and starts from the same noise; the distance is the root mean
square of a coordinate of x / alpha, to a solve of 2000 steps, with its standard error over samples.
The peer is diffusers' `DPMSolverMultistepScheduler` on VP, with each of its spacings, told sigma
and not the rounded timestep. Prints rows of the tables in README.md.
"""

import argparse
import math
import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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
PEERS: dict[str, dict[str, object]] = {
    "timesteps, to 0 (default)": {},
    "timesteps, to sigma_min": {"final_sigmas_type": "sigma_min"},
    "karras, to 0": {"use_karras_sigmas": True},
    "exponential, to 0": {"use_exponential_sigmas": True},
    "lu, to 0": {"use_lu_lambdas": True},
}


class Distance(NamedTuple):
    """A root mean square, and its standard error."""

    value: float
    stderr: float

    def __str__(self) -> str:
        return f"{self.value:.1e} ± {self.stderr:.0e}"


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


def draw(sampler: Sampler, sde: LinearSDE, count: int) -> np.ndarray:
    """The last states over alpha, always from the same noise."""
    keys = jax.random.split(jax.random.key(0), count)
    score, last = MixtureScore(mixture(), sde), sde.time_of(jnp.asarray(LEAST))
    run = jax.jit(lambda keys: sampler(keys, score, sde, (DIMENSION,)).x / sde.alpha(last))
    return np.asarray(run(keys))


def distance(x: np.ndarray, reference: np.ndarray) -> Distance:
    """The root mean square over samples and coordinates."""
    squares = ((x - reference) ** 2).mean(axis=1)
    value = math.sqrt(squares.mean())
    return Distance(value, squares.std() / math.sqrt(len(squares)) / (2 * value))


def peer_distances(
    settings: dict[str, object], noise: np.ndarray, reference: np.ndarray
) -> Iterator[Distance]:
    """Of diffusers' scheduler on VP with these settings, for each number of evaluations."""
    import torch
    from diffusers import DPMSolverMultistepScheduler

    sde = PROCESSES["VP"]
    times = jnp.linspace(sde.time_of(jnp.asarray(LEAST)), 1.0, 1000)
    squares = np.asarray(sde.alpha(times)) ** 2
    betas = 1 - squares / np.append(1.0, squares[:-1])
    scheduler = DPMSolverMultistepScheduler(trained_betas=betas.tolist(), **settings)
    clean = jax.jit(lambda x, sigma: denoise(sde, x, sigma))
    if settings.get("final_sigmas_type") != "sigma_min":
        alpha = sde.alpha(sde.time_of(jnp.asarray(LEAST)))
        reference = np.asarray(clean(alpha * reference, LEAST))
    for evaluations in EVALUATIONS:
        scheduler.set_timesteps(evaluations)
        x = torch.from_numpy(noise.copy())
        for step, timestep in enumerate(scheduler.timesteps):
            sigma = float(scheduler.sigmas[step])
            mean = torch.from_numpy(np.array(clean(x.numpy(), sigma)))
            alpha = 1 / math.hypot(1, sigma)
            x = scheduler.step((x - alpha * mean) / (alpha * sigma), timestep, x).prev_sample
        last = float(scheduler.sigmas[-1])
        yield distance(x.numpy() * math.hypot(1, last), reference)


def denoise(sde: LinearSDE, x: jax.Array, sigma: float) -> jax.Array:
    """The posterior mean of states with this noise_to_signal."""
    return denoised(MixtureScore(mixture(), sde), sde, x, sde.time_of(jnp.asarray(sigma)))


def measured(count: int) -> Iterator[tuple[str, list[Distance] | str]]:
    """The name of each row and its distances, for each number of evaluations."""
    fine = GRIDS["log-SNR"](REFERENCE_STEPS)
    reference, other = (
        draw(METHODS[name](fine), PROCESSES["VP"], count) for name in ("Heun", "UniPC-3")
    )
    assert distance(other, reference).value < 1e-4, "two solves of the flow differ"
    for name, method in METHODS.items():
        for spacing, grid in GRIDS.items():
            found = []
            for evaluations in EVALUATIONS:
                steps = evaluations // 2 if name == "Heun" else evaluations
                found.append(distance(draw(method(grid(steps)), PROCESSES["VP"], count), reference))
            yield f"{name}, {spacing}, VP", found
    for process in list(PROCESSES)[1:]:
        samplers = [METHODS["UniPC-3"](GRIDS["log-SNR"](steps)) for steps in EVALUATIONS]
        found = [distance(draw(s, PROCESSES[process], count), reference) for s in samplers]
        yield f"UniPC-3, log-SNR, {process}", found
    keys = jax.random.split(jax.random.key(0), count)
    noise = np.asarray(prior(keys))
    for name, settings in PEERS.items():
        row = f"diffusers' DPM-Solver++ 2M, {name}"
        try:
            yield row, list(peer_distances(settings, noise, reference))
        except ModuleNotFoundError as error:
            yield row, f"missing: no {error.name}; pip install -e '.[benchmark]'"


def prior(keys: jax.Array) -> jax.Array:
    """The noise that all samplers start from."""
    halves = jax.vmap(jax.random.split, out_axes=1)(keys)
    return draw_prior(halves[0], PROCESSES["VP"], (DIMENSION,))


def main() -> None:
    """Prints a row for each sampler, with the distances in columns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 samples instead of 256")
    jax.config.update("jax_enable_x64", True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    for name, found in measured(64 if parser.parse_args().quick else 256):
        cells = found if isinstance(found, str) else " | ".join(map(str, found))
        print(f"| {name} | {cells} |", flush=True)
    print(f"jax {jax.__version__}, commit {commit.stdout.strip()}")


if __name__ == "__main__":
    main()
