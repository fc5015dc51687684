"""Pictures of samples that are drawn during training."""

from pathlib import Path
from typing import Protocol

import jax

from sde_jax.reporting import report
from sde_jax.training.learner import TrainState
from sde_jax.training.metrics_log import MetricsLog
from sde_jax.training.run_directory import RunDirectory


class Draw(Protocol):
    """Draws a picture of samples of a state without changing it."""

    def __call__(self, state: TrainState, path: Path) -> None:
        """Draws into the PNG file ``path``. Every process calls this; the first one writes."""


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
