"""Samples by repeated use of a denoiser's residual, with and without the scale of the noise."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.study import Report
from sde_jax import figures
from sde_jax.arrays import Array, Float, Keys, PRNGKeyArray, PyTree
from sde_jax.data import TRAIN
from sde_jax.evaluation import compute_reference, coordinates
from sde_jax.metrics import kernel_distance
from sde_jax.randomness import unit_noise
from sde_jax.recipes import DenoiserPrior, Draw
from sde_jax.runs import TrainedRun, draw_all, open_run_of
from sde_jax.sampling import BlindAscent, Samples

COUNT = 512
SHOWN = 36
SUBTRACTIONS = 20
ASCENT = BlindAscent(level_min=0.05)
STEP = 0.05
UNSCALED_STEPS = 400


@dataclass(frozen=True, kw_only=True)
class Residuals(Report):
    """Samples by four uses of the residual ``f(y) - y``, and their distances from training data.

    ``subtracted``: ``y <- y + (f(y) - y)``, one residual after the other, from noise. ``unscaled``:
    Langevin dynamics ``y <- y + h (f(y) - y) + sqrt(2 h) noise``, with the residual as the score.
    Both ignore that the residual is the score times the variance of the noise. ``blind``: the same
    denoiser by `BlindAscent`, whose noise has the scale that the residual shows. ``told``: the
    other denoiser, by the evaluation's sampler. Distances are kernel distances, 0 for samples of
    the data, in the data's own coordinates and of 512 samples.
    """

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns the distances and draws ``residuals.png``."""
        run = open_run_of(DenoiserPrior, runs / self.run)
        uses: dict[str, Draw] = {
            "subtracted": repeated(run, subtract, SUBTRACTIONS),
            "unscaled": repeated(run, unscaled, UNSCALED_STEPS),
            "blind": ascent(run),
            "told": run.sample_fn(run.experiment.evaluation.sampling),
        }

        def draw(use: Draw) -> np.ndarray:
            samples = draw_all(use, run.params, count=COUNT, batch_size=COUNT)
            return np.asarray(run.layout.scaling.to_unit(samples.x))

        drawn = {name: draw(use) for name, use in uses.items()}
        figures.image_panel(
            {name: data[:SHOWN] for name, data in drawn.items()}, pictures / "residuals.png"
        )
        network = coordinates(run.layout.shape)
        known = compute_reference(network, run.experiment.data, TRAIN)

        def distance(data: np.ndarray) -> dict[str, float]:
            found = kernel_distance(data.reshape(COUNT, -1), np.asarray(known.features))
            return {"value": float(found.value), "stderr": float(found.stderr)}

        distances = {name: distance(data) for name, data in drawn.items()}
        return {"kernel_distance": distances, "count": COUNT}


def ascent(run: TrainedRun[DenoiserPrior]) -> Draw:
    """Returns what samples with the blind denoiser, along its own estimate of the level."""
    experiment, shape = run.experiment, run.layout.shape
    return lambda params, keys, index: ASCENT(
        keys, experiment.blind_score(params), experiment.process, shape
    )


def repeated(
    run: TrainedRun[DenoiserPrior],
    move: Callable[[Array, Array, PRNGKeyArray], Array],
    steps: int,
) -> Draw:
    """Returns what takes steps ``move(y, residual, key)`` of the blind denoiser, from noise."""
    regression, shape = run.experiment.model().blind, run.layout.shape

    def use(params: PyTree, keys: Keys, index: Array) -> Samples:
        def step(y: Array, number: Array) -> tuple[Array, None]:
            own = jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
            residual = regression.denoise(params["blind"], y) - y
            return jax.vmap(move)(y, residual, own), None

        y, _ = jax.lax.scan(step, unit_noise(keys, shape), jnp.arange(steps))
        counts = jnp.full(len(keys), steps)
        return Samples(y, counts, jnp.isfinite(y).reshape(len(y), -1).all(axis=1))

    return use


def subtract(y: Float[Array, "..."], residual: Float[Array, "..."], key: PRNGKeyArray) -> Array:
    """Adds the whole residual."""
    return y + residual


def unscaled(y: Float[Array, "..."], residual: Float[Array, "..."], key: PRNGKeyArray) -> Array:
    """Takes a step of Langevin dynamics with the residual as the score."""
    return y + STEP * residual + (2 * STEP) ** 0.5 * jax.random.normal(key, y.shape)
