"""Pictures of samples, drawn while a run trains."""

from pathlib import Path
from typing import Protocol

import jax

from sde_jax.reporting import report
from sde_jax.training.learner import TrainState
from sde_jax.training.metrics_log import MetricsLog

__all__ = ["Draw", "Pictures"]


class Draw(Protocol):
    """Draws a picture of samples of a state, which it leaves as it is."""

    def __call__(self, state: TrainState, path: Path) -> None:
        """Draws into the PNG file ``path``; called by every process, the first one writes."""


class Pictures:
    """``pictures/samples-<step>.png`` of a run, and the same in TensorBoard.

    One that cannot be written, because the disk is full, is reported and given up.
    """

    def __init__(self, draw: Draw, folder: Path, log: MetricsLog) -> None:
        self._draw = draw
        self._folder = folder
        self._log = log

    def __call__(self, step: int, state: TrainState) -> None:
        """Draws ``state``, that of ``step``."""
        path = self._folder / f"samples-{step}.png"
        try:
            if jax.process_index() == 0:
                self._folder.mkdir(exist_ok=True)
            self._draw(state, path)
            self._log.show(step, "samples", path)
        except OSError as error:
            report(f"{path} cannot be written: {error.strerror}")
