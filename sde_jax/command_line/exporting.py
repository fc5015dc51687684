"""``sde-jax export RUN``."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from sde_jax.arguments import UsageError
from sde_jax.atomic import write_whole
from sde_jax.command_line.options.exporting import Export
from sde_jax.command_line.output import checked_output
from sde_jax.interop.checkpoint import AdamMoments, PublishedState
from sde_jax.interop.published_model import PublishedModel
from sde_jax.interop.safetensors_file import write_safetensors
from sde_jax.interop.score_sde import save_checkpoint, save_weights
from sde_jax.recipes.published import model_of
from sde_jax.runs.trained_run import ScoreRun, open_run


def main(options: Export) -> dict[str, Any]:
    """Runs the command and returns its results."""
    run = open_run(options.run, options.data)
    results = {"run": str(options.run), "step": run.step}
    if options.format == "safetensors":
        out = checked_output(options.out, ".safetensors")
        write_whole(out, lambda path: write_weights(run, path))
        return {**results, "out": str(out)}
    out = checked_output(options.out, ".pth", beside=[".json"])
    model = published_model(run)
    write_whole(out, lambda path: save_checkpoint(path, model, published_state(run)))
    described = out.with_suffix(".json")
    write_whole(described, lambda path: path.write_text(model.to_json()))
    return {**results, "out": str(out), "model": str(described)}


def write_weights(run: ScoreRun, path: Path) -> None:
    """Writes the averaged weights; `load_weights` reads those of a published model."""
    params = run.state.ema_params
    if run.named.model is not None:
        save_weights(path, run.named.model, params)
    else:
        write_safetensors(path, params, run.named.config())


def published_model(run: ScoreRun) -> PublishedModel:
    """Returns the run's model in the terms of score_sde.

    Raises:
      UsageError: if it cannot be described in them.
    """
    if run.named.model is not None:
        return run.named.model
    try:
        return model_of(run.experiment, run.layout.shape)
    except ValueError as error:
        raise UsageError(
            f"--format score-sde does not apply to {run.named.name}: {error}"
        ) from None


def published_state(run: ScoreRun) -> PublishedState:
    """Returns the run's state in the terms of score_sde."""
    params, ema_params, mean, mean_square = (
        jax.tree.map(np.asarray, tree)
        for tree in (
            run.state.params,
            run.state.ema_params,
            optax.tree.get(run.state.opt_state, "mu"),
            optax.tree.get(run.state.opt_state, "nu"),
        )
    )
    return PublishedState(run.step, params, ema_params, AdamMoments(run.step, mean, mean_square))
