"""The interface of recipes to training."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Self

from sde_jax.arrays import PRNGKeyArray, PyTree
from sde_jax.data.source import DataSource, DataSpec
from sde_jax.training.learner import Learner, Losses, gradient_learner
from sde_jax.training.optimizer import Adam, Decay
from sde_jax.training.settings import Training
from sde_jax.validation import Spec


class Trainable(Spec, abc.ABC):
    """An experiment: a frozen keyword-only dataclass of specs and plain values."""

    kind: ClassVar[str]
    """Its name in messages."""
    data: DataSpec
    optimizer: Adam
    ema_decay: Decay
    training: Training

    learns_from: ClassVar[str | None] = None
    """The field that names the run of a score model to learn from."""

    @property
    def alternative(self) -> str:
        """A sentence that names the run to use for what this kind cannot do, or nothing."""
        return ""

    def with_data(self, data: DataSpec) -> Self:
        """Returns the experiment of measured data, with all that it takes from them."""
        changed: dict[str, Any] = {"data": data}
        return dataclasses.replace(self, **changed)

    @abc.abstractmethod
    def learner(self, shape: tuple[int, ...]) -> Learner:
        """Builds the learner for examples of ``shape``.

        Raises:
          ValueError: if the shape does not fit.
        """

    def minimizing(
        self, init: Callable[[PRNGKeyArray], PyTree], losses: Losses, *, ema_warmup: bool = True
    ) -> Learner:
        """Builds the learner that minimizes the mean of ``losses``; see `gradient_learner`."""
        return gradient_learner(
            init,
            losses,
            self.optimizer.build(self.training.steps),
            ema_decay=self.ema_decay,
            ema_warmup=ema_warmup,
            accumulate=self.training.accumulate,
        )

    def check_data(self, source: DataSource) -> None:
        """Raises ValueError if the experiment does not fit the data."""
        self.training.check_data(source)


def check_classes(classes: int, source: DataSource) -> None:
    """Raises ValueError if the data have more classes than a network."""
    if source.classes is not None and classes < source.classes:
        raise ValueError(
            f"`classes` must be at least {source.classes}, as many as the data have: got {classes}."
        )
