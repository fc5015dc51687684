"""The interface of recipes to training."""

import abc
from typing import ClassVar

from sde_jax.data.source import DataSource, DataSpec
from sde_jax.training.learner import Learner
from sde_jax.training.settings import Training


class Trainable(abc.ABC):
    """An experiment: a frozen keyword-only dataclass of specs and plain values."""

    kind: ClassVar[str]
    """Its name in messages."""
    data: DataSpec
    training: Training

    @abc.abstractmethod
    def learner(self, shape: tuple[int, ...]) -> Learner:
        """Builds the learner for examples of ``shape``.

        Raises:
          ValueError: if the shape does not fit.
        """

    def check_data(self, source: DataSource) -> None:
        """Raises ValueError if the experiment does not fit the data."""
        self.training.check_data(source)


def check_classes(classes: int, source: DataSource) -> None:
    """Raises ValueError if the data have more classes than a network."""
    if source.classes is not None and classes < source.classes:
        raise ValueError(
            f"`classes` must be at least {source.classes}, as many as the data have: got {classes}."
        )
