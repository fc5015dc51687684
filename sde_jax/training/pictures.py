"""Pictures of samples that are drawn during training."""

from collections.abc import Callable
from pathlib import Path

import jax

from sde_jax.reporting import report
from sde_jax.training.learner import TrainState
from sde_jax.training.metrics_log import MetricsLog
from sde_jax.training.run_directory import RunDirectory

Draw = Callable[[TrainState, Path], None]
"""Draws samples of a state into a PNG file. Every process calls it; the first one writes."""


def draw_picture(
    draw: Draw, run: RunDirectory, log: MetricsLog, step: int, state: TrainState
) -> None:
    """Draws ``pictures/samples-<step>.png`` of a run, also shown in TensorBoard.

    A picture that cannot be written, because the disk is full, is reported and skipped.
    """
    path = run.pictures / f"samples-{step}.png"
    try:
        if jax.process_index() == 0:
            run.pictures.mkdir(exist_ok=True)
        draw(state, path)
        log.show(step, "samples", path)
    except OSError as error:
        report(f"{path} cannot be written: {error.strerror}")
