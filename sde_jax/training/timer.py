"""The rate of updates."""

import time

import jax

from sde_jax.training.learner import Metrics


class Timer:
    """Measures updates per second without pauses and compilation.

    The first dispatch of each number of steps compiles. The dispatches between the last pause and
    that one are not counted either, because they ran while the host compiled.
    """

    def __init__(self) -> None:
        self._compiled: set[int] = set()
        self._resumed, self._dispatched = 0.0, 0
        self._steps, self._seconds = 0, 0.0
        self._steps_before, self._seconds_before = 0, 0.0

    def resume(self) -> None:
        """Starts the clock before updates."""
        self._resumed, self._dispatched = time.monotonic(), 0

    def count(self, steps: int, metrics: Metrics) -> None:
        """Records a dispatch of ``steps`` updates that returns ``metrics``."""
        if steps in self._compiled:
            self._dispatched += steps
            return
        jax.block_until_ready(metrics)
        self._compiled.add(steps)
        self.resume()

    def pause(self) -> None:
        """Stops the clock when all dispatched updates are done."""
        self._steps += self._dispatched
        self._seconds += time.monotonic() - self._resumed

    def overall(self) -> float:
        """Returns updates per second so far, or 0 if there were too few."""
        return self._steps / self._seconds if self._steps else 0.0

    def since_last(self) -> float:
        """Returns updates per second since the last call."""
        steps, seconds = self._steps - self._steps_before, self._seconds - self._seconds_before
        self._steps_before, self._seconds_before = self._steps, self._seconds
        return steps / seconds if steps else 0.0
