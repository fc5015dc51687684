"""Pictures of samples of a run that trains."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.data.source import DataSource, Layout
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.interfaces import Given
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.conditions import held_out_condition
from sde_jax.runs.generation import example_keys, whole_batches
from sde_jax.sampling import Ancestral, PredictorCorrector, Sampler, UniformGrid
from sde_jax.training.devices import compiled_on_each_device, data_mesh
from sde_jax.training.learner import TrainState
from sde_jax.training.loop import Draw
from sde_jax.training.processes import is_first

SAMPLER = PredictorCorrector(grid=UniformGrid(steps=100), predictor=Ancestral())
"""The sampler of scores: a cheap one, and the better of the predictors in so few steps."""
COUNT = 36


def snapshots(experiment: Trainable, source: DataSource) -> Draw | None:
    """Returns the function that draws samples of the averaged parameters into a picture.

    They have the same seeds each time, so that pictures can be compared, and number 36 or a batch
    if that is smaller: what has room to be trained has room to be drawn. Compiled once. Returns
    None for an experiment that has no samples.
    """
    if not isinstance(experiment, Generative):
        return None
    layout = Layout(source.shape, source.scaling)
    sampler: Sampler | None = None if experiment.sampling is None else SAMPLER
    if experiment.sampling is not None and experiment.sampling.sampler == "consistency":
        sampler = experiment.sampling.build()
    sample = experiment.sample_fn(layout, sampler, lambda: source)
    compiled = compiled_on_each_device(sample)
    count = min(COUNT, experiment.training.batch_size)
    padded = whole_batches(count, count, data_mesh())
    condition = held_out_condition(experiment, source, count)

    def draw(state: TrainState, path: Path) -> None:
        keys = example_keys(jax.random.key(0), 0, padded)
        params = state.ema_params if condition is None else Given(state.ema_params, condition)
        samples = compiled(params, keys, jnp.arange(padded))
        if is_first():
            from sde_jax import array_figures  # Its libraries are not needed before.

            data = layout.scaling.to_unit(samples.x[:count])
            array_figures.draw_picture(np.asarray(data), "samples", path)

    return draw
