"""Training steps on one batch, as the library compiles them."""

from typing import Any

import jax

from benchmarks.ddpmpp import initial_state
from benchmarks.timing import compile_program
from sde_jax.arrays import Array
from sde_jax.data import Batch
from sde_jax.training import Learner, TrainState, update_options


class TrainingStep:
    """Updates a learner on the same batch at each call and records the losses."""

    def __init__(self, learner: Learner, batch: Batch) -> None:
        self.batch, self.key = batch, jax.random.key(1)
        self.state = initial_state(learner)
        self.losses: list[Array] = []
        self.program = compile_program(
            learner.update,
            *(self.state, self.key, self.batch),
            donate_argnums=0,
            compiler_options=update_options(jax.default_backend()),
        )

    def __call__(self) -> TrainState:
        """Makes one step and returns the new state."""
        key = jax.random.fold_in(self.key, len(self.losses))
        self.state, metrics = self.program.call(self.state, key, self.batch)
        self.losses.append(metrics["loss"])
        return self.state


def check_loss_falls(losses: list[Any]) -> str:
    """Describes how far the loss fell on the repeated batch.

    Raises:
      AssertionError: if the loss did not fall.
    """
    first, last = float(losses[0]), float(losses[-1])
    assert last < first, f"the loss went from {first} to {last}"
    return f"the loss fell from {first:.3f} to {last:.3f} in {len(losses)} steps"
