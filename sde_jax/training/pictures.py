"""Pictures of samples that are drawn during training."""

from pathlib import Path
from typing import Protocol

import jax

from sde_jax.reporting import report
from sde_jax.training.learner import TrainState
from sde_jax.training.metrics_log import MetricsLog

__all__ = ["Draw", "Pictures"]


class Draw(Protocol):
    """Draws a picture of samples of a state without changing it."""

    def __call__(self, state: TrainState, path: Path) -> None:
        """Draws into the PNG file ``path``. Every process calls this; the first one writes."""


class Pictures:
    """The files ``pictures/samples-<step>.png`` of a run, also shown in TensorBoard.

    A picture that cannot be written, because the disk is full, is reported and skipped.
    """

    def __init__(self, draw: Draw, folder: Path, log: MetricsLog) -> None:
        self._draw = draw
        self._folder = folder
        self._log = log

    def __call__(self, step: int, state: TrainState) -> None:
        """Draws the ``state`` of ``step``."""
        path = self._folder / f"samples-{step}.png"
        try:
            if jax.process_index() == 0:
                self._folder.mkdir(exist_ok=True)
            self._draw(state, path)
            self._log.show(step, "samples", path)
        except OSError as error:
            report(f"{path} cannot be written: {error.strerror}")
