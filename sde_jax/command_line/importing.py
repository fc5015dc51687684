"""``sde-jax import FILE``."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sde_jax.arguments import UsageError
from sde_jax.arrays import Array, PyTree
from sde_jax.atomic import new_folders
from sde_jax.command_line.options.importing import Import
from sde_jax.interop.checkpoint import AdamMoments, PublishedState
from sde_jax.interop.score_sde import read_checkpoint
from sde_jax.recipes.named import Named
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.runs.catalogue import find_model, of_model
from sde_jax.training.checkpoint import Checkpoints
from sde_jax.training.learner import TrainState
from sde_jax.training.run_directory import RunDirectory
from sde_jax.training.start import Progress


def main(options: Import) -> dict[str, Any]:
    """Runs the command and returns its results."""
    name, model = find_model(options.model)
    named = of_model(name, model)
    RunDirectory.check_free(options.workdir)
    try:
        published = read_checkpoint(options.file, model)
    except OSError as error:
        raise UsageError(f"{options.file} cannot be read: {error.strerror}.") from None
    state = train_state(named.experiment, published)
    write_run(options.workdir, named, state)
    return {
        "run": str(options.workdir),
        "name": named.name,
        "step": int(state.step),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
    }


def train_state(experiment: ScoreExperiment, published: PublishedState) -> TrainState:
    """Returns the state that training continues from; without moments, the optimizer starts
    afresh."""
    params, ema_params = jax.tree.map(jnp.asarray, (published.params, published.ema_params))
    opt_state = experiment.optimizer.build(experiment.training.steps).init(params)
    if published.moments is not None:
        opt_state = with_moments(opt_state, published.moments)
    return TrainState(jnp.asarray(published.step, jnp.int32), params, ema_params, opt_state)


def with_moments(opt_state: PyTree, moments: AdamMoments) -> PyTree:
    """Returns the optimizer's state with the given moments."""
    count, mean, mean_square = jax.tree.map(jnp.asarray, moments)

    def counted(path: tuple[Any, ...], leaf: Array) -> Array:
        return count.astype(leaf.dtype) if getattr(path[-1], "name", None) == "count" else leaf

    opt_state = jax.tree_util.tree_map_with_path(counted, opt_state)
    return optax.tree.set(opt_state, mu=mean, nu=mean_square)


def write_run(workdir: Path, named: Named[ScoreExperiment], state: TrainState) -> None:
    """Creates a run with one checkpoint, completely or not at all."""
    step = int(state.step)
    with (
        new_folders(workdir.parent),
        tempfile.TemporaryDirectory(dir=workdir.parent, prefix=f".{workdir.name}.") as folder,
    ):
        directory = RunDirectory.create(Path(folder) / "run", named.config())
        with Checkpoints(directory.checkpoints) as checkpoints:
            checkpoints.save(step, state, asdict(Progress(step=step)))
            checkpoints.wait()
        directory.path.rename(workdir)
