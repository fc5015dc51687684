"""How fast the updates are."""

import time

import jax

from sde_jax.training.learner import Metrics

__all__ = ["Timer"]


class Timer:
    """Updates per second, without pauses and up to no dispatch that compiled.

    The first dispatch of each number of steps compiles; what ran since the last pause before it is
    not counted either, because it ran while the host compiled.
    """

    def __init__(self) -> None:
        self._compiled: set[int] = set()
        self._resumed, self._dispatched = 0.0, 0
        self._steps, self._seconds = 0, 0.0
        self._steps_before, self._seconds_before = 0, 0.0

    def resume(self) -> None:
        """Updates follow."""
        self._resumed, self._dispatched = time.monotonic(), 0

    def count(self, steps: int, metrics: Metrics) -> None:
        """``steps`` updates have been dispatched that return ``metrics``."""
        if steps in self._compiled:
            self._dispatched += steps
            return
        jax.block_until_ready(metrics)
        self._compiled.add(steps)
        self.resume()

    def pause(self) -> None:
        """All dispatched updates are done, and something else follows."""
        self._steps += self._dispatched
        self._seconds += time.monotonic() - self._resumed

    def overall(self) -> float:
        """Updates per second so far; 0 if there were too few to tell."""
        return self._steps / self._seconds if self._steps else 0.0

    def since_last(self) -> float:
        """Updates per second since this was last called."""
        steps, seconds = self._steps - self._steps_before, self._seconds - self._seconds_before
        self._steps_before, self._seconds_before = self._steps, self._seconds
        return steps / seconds if steps else 0.0
