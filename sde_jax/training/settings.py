"""The settings of a training run."""

import dataclasses
from typing import Annotated

from jax.sharding import Mesh

from sde_jax.data import TEST, DataSource
from sde_jax.validation import Only, Rule, Spec, at_least, at_most, require

_EVALUATING = Only("`eval_every` is positive", lambda training: training.eval_every > 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(Spec):
    """Length, batch and bookkeeping of a training run.

    Raises:
      ValueError: if ``keep_best`` is set without evaluations.
    """

    steps: Annotated[int, at_least(1), at_most(2 * 10**9)] = 10_000
    """Total number of updates."""

    batch_size: Annotated[int, at_least(1), at_most(2**24)] = 128
    """Examples in each update, over all devices."""

    seed: Annotated[int, Rule("lie between 0 and 2^32 - 1", lambda n: 0 <= n < 2**32)] = 0
    """Seed of initialization, batches, noise and evaluation."""

    log_every: Annotated[int, at_least(1)] = 100
    """Updates between lines in the log, each the mean since the previous one."""

    eval_every: Annotated[int, at_least(0)] = 1000
    """Updates between evaluations of the held-out loss; 0: never."""

    eval_examples: Annotated[int | None, at_least(1), _EVALUATING] = None
    """Number of held-out examples in each evaluation, the first ones; None: all."""

    sample_every: Annotated[int, at_least(0)] = 0
    """Updates between pictures of a few samples; 0: never."""

    checkpoint_every: Annotated[int, at_least(1)] = 1000
    """Updates between checkpoints; the last update always has one."""

    keep_checkpoints: Annotated[int, at_least(1)] = 2
    """Number of newest checkpoints to keep."""

    keep_best: bool = False
    """True to save when the held-out loss is the lowest so far, and keep that checkpoint."""

    steps_per_call: Annotated[int, at_least(0), at_most(1000)] = 0
    """Updates in one dispatch to the device; 0: 1 on CPU, 10 elsewhere."""

    accumulate: Annotated[int, at_least(1), at_most(1000)] = 1
    """Number of parts of a batch that the device processes in sequence for one update. More parts
    need less memory and longer compilation. They change dropout but not an example's noise."""

    shard_parameters: bool = False
    """True if each device holds only a part of parameters, averages and optimizer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        evaluated = self.eval_every > 0 or not self.keep_best
        require(self, "keep_best", evaluated, "be off without evaluations; set `eval_every`")

    def check_devices(self, mesh: Mesh) -> None:
        """Raises ValueError if the settings do not fit the devices."""
        times = f" times accumulate={self.accumulate}" if self.accumulate > 1 else ""
        fits = self.batch_size % (mesh.size * self.accumulate) == 0
        require(self, "batch_size", fits, f"be a multiple of the {mesh.size} devices{times}")

    def check_data(self, source: DataSource) -> None:
        """Raises ValueError if the settings do not fit the data."""
        possible = self.eval_every == 0 or source.sizes.get(TEST, 0) > 0
        rule = "be 0 for data without held-out examples (split `test`)"
        require(self, "eval_every", possible, rule)

    def check_drawing(self, possible: bool) -> None:
        """Raises ValueError if pictures are requested and not possible."""
        fits = self.sample_every == 0 or possible
        require(self, "sample_every", fits, "be 0 if `train` gets no `draw`")

    def resolved_steps_per_call(self, mesh: Mesh) -> int:
        """Returns ``steps_per_call``, or for 0 the default on that mesh.

        The default is 1 on CPU, where kernel gradients of convolutions are up to a hundred times
        slower in a compiled loop.
        """
        return self.steps_per_call or (1 if mesh.devices.flat[0].platform == "cpu" else 10)

    def next_stop(self, step: int) -> int:
        """Returns the first step after ``step`` at which something other than an update is due."""
        intervals = (self.log_every, self.checkpoint_every, self.eval_every, self.sample_every)
        return min(self.steps, *((step // every + 1) * every for every in intervals if every))

    def due(self, every: int, step: int) -> bool:
        """Returns whether ``step`` is a multiple of ``every`` or the last step; False for 0."""
        return every > 0 and (step % every == 0 or step == self.steps)
