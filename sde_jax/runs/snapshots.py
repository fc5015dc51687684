"""Pictures of samples of a run that trains."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from sde_jax import figures
from sde_jax.data.scaling import Scaling
from sde_jax.data.source import DataSource, Layout
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.interfaces import Draw
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.generation import batch_drawer, example_keys, whole_batches
from sde_jax.sampling import Ancestral, PredictorCorrector, UniformGrid
from sde_jax.training.learner import TrainState
from sde_jax.training.processes import is_first

SAMPLER = PredictorCorrector(grid=UniformGrid(steps=100), predictor=Ancestral())
"""The sampler of scores: a cheap one, and the better of the predictors in so few steps."""
COUNT = 36


class Snapshots:
    """Draws samples of the averaged parameters of a run that trains.

    They have the same seeds each time, so that pictures can be compared, and number 36 or a batch
    if that is smaller: what has room to be trained has room to be drawn. Compiled once.
    """

    def __init__(self, draw: Draw, scaling: Scaling, mesh: Mesh, *, batch_size: int) -> None:
        self._scaling = scaling
        self._count = min(COUNT, batch_size)
        self._padded = whole_batches(self._count, self._count, mesh)
        self._draw = batch_drawer(draw, mesh)

    def __call__(self, state: TrainState, path: Path) -> None:
        """Draws into ``path``; called by every process, the first one writes."""
        keys = example_keys(jax.random.key(0), 0, self._padded)
        samples = self._draw(state.ema_params, keys, jnp.arange(self._padded))
        if is_first():
            data = self._scaling.to_unit(samples.x[: self._count])
            figures.draw_picture(np.asarray(data), "samples", path)


def snapshots(experiment: Trainable, source: DataSource, mesh: Mesh) -> Snapshots | None:
    """Builds the snapshots of an experiment that trains.

    Returns None for an experiment that has no samples.
    """
    if not isinstance(experiment, Generative):
        return None
    layout = Layout(source.shape, source.scaling)
    sampler = None if experiment.sampling is None else SAMPLER
    draw = experiment.sample_fn(layout, sampler, lambda: source)
    return Snapshots(draw, layout.scaling, mesh, batch_size=experiment.training.batch_size)
