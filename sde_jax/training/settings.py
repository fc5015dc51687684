"""What a training run is asked to do."""

import dataclasses

from jax.sharding import Mesh

from sde_jax.data.source import DataSource

__all__ = ["Training"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """Length, batch and bookkeeping of a training run.

    Raises:
      ValueError: if a field is out of range.
    """

    steps: int = 10_000
    """Updates in all."""

    batch_size: int = 128
    """Examples in each update, over all devices together."""

    seed: int = 0
    """Seed of everything random: initialization, batches, noise, evaluation."""

    log_every: int = 100
    """Updates between lines in the log, each the mean since the last."""

    eval_every: int = 1000
    """Updates between evaluations of the held-out loss; 0: never."""

    eval_examples: int | None = None
    """Held-out examples in each evaluation, the first ones; None: all."""

    sample_every: int = 0
    """Updates between pictures of a few samples, for who watches; 0: never."""

    checkpoint_every: int = 1000
    """Updates between checkpoints; there is one at the end in any case."""

    keep_checkpoints: int = 2
    """How many of the newest checkpoints are kept."""

    keep_best: bool = False
    """Save whenever the held-out loss is the lowest so far, and keep that checkpoint."""

    steps_per_call: int = 0
    """Updates in one dispatch to the device; 0: 1 on CPU, 10 elsewhere."""

    accumulate: int = 1
    """Parts that a batch is divided into, one after the other on the device, for one update: less
    memory, more time to compile. The noise of an example does not depend on it, dropout does."""

    shard_parameters: bool = False
    """Whether each device holds a part of parameters, averages and optimizer, instead of all."""

    def __post_init__(self) -> None:
        positive = ("steps", "batch_size", "log_every", "checkpoint_every", "keep_checkpoints")
        for field in (*positive, "accumulate"):
            self._require(getattr(self, field) >= 1, field, "be at least 1")
        self._require(0 <= self.seed < 2**32, "seed", "lie between 0 and 2^32 - 1")
        self._require(self.eval_every >= 0, "eval_every", "be at least 0 (0: never)")
        self._require(
            self.eval_examples is None or self.eval_examples >= 1,
            "eval_examples",
            "be at least 1, or None for all",
        )
        self._require(
            self.eval_every > 0 or not self.keep_best,
            "keep_best",
            "be off without evaluations; set `eval_every`",
        )
        self._require(self.sample_every >= 0, "sample_every", "be at least 0 (0: never)")
        self._require(self.steps_per_call >= 0, "steps_per_call", "be at least 0 (0: automatic)")

    def _require(self, holds: bool, field: str, rule: str) -> None:
        if not holds:
            raise ValueError(f"`{field}` must {rule}: got {field}={getattr(self, field)!r}")

    def check_devices(self, mesh: Mesh) -> None:
        """Raises ValueError where this cannot be done on those devices."""
        times = f" times accumulate={self.accumulate}" if self.accumulate > 1 else ""
        self._require(
            self.batch_size % (mesh.size * self.accumulate) == 0,
            "batch_size",
            f"be a multiple of the {mesh.size} devices{times}",
        )

    def check_data(self, source: DataSource) -> None:
        """Raises ValueError where this cannot be done with that data."""
        self._require(
            self.eval_every == 0 or source.sizes.get("test", 0) > 0,
            "eval_every",
            "be 0 where the data has no held-out examples (split `test`)",
        )

    def check_drawing(self, possible: bool) -> None:
        """Raises ValueError where pictures are asked for and not possible."""
        self._require(
            self.sample_every == 0 or possible,
            "sample_every",
            "be 0 where `train` is given nothing to draw with",
        )

    def resolved_steps_per_call(self, mesh: Mesh) -> int:
        """``steps_per_call``, or what its 0 means on that mesh.

        On CPU one: kernel gradients of convolutions are up to a hundred times slower in a compiled
        loop there.
        """
        return self.steps_per_call or (1 if mesh.devices.flat[0].platform == "cpu" else 10)

    def next_stop(self, step: int) -> int:
        """The first step after ``step`` at which something other than an update is due."""
        intervals = (self.log_every, self.checkpoint_every, self.eval_every, self.sample_every)
        return min(self.steps, *((step // every + 1) * every for every in intervals if every))

    def due(self, every: int, step: int) -> bool:
        """Whether what is done every ``every`` steps, and at the end, is done now; 0: never."""
        return every > 0 and (step % every == 0 or step == self.steps)
