"""What `train` trains."""

import abc
from typing import ClassVar

from sde_jax.data.source import DataSource, DataSpec
from sde_jax.training.learner import Learner
from sde_jax.training.settings import Training


class Trainable(abc.ABC):
    """A value that decides a result: a frozen keyword-only dataclass of specs and plain values."""

    kind: ClassVar[str]
    """What it is, for people."""
    data: DataSpec
    training: Training

    @abc.abstractmethod
    def learner(self, shape: tuple[int, ...]) -> Learner:
        """What the training loop trains, for examples of ``shape``.

        Raises:
          ValueError: if they do not fit.
        """

    def check_data(self, source: DataSource) -> None:
        """Raises ValueError where this cannot be trained on that data."""
        self.training.check_data(source)


def check_classes(classes: int, source: DataSource) -> None:
    """Raises ValueError where the data have labels beyond the classes of a network."""
    if source.classes is not None and classes < source.classes:
        raise ValueError(
            f"`classes` must be {source.classes} or more, as the data's labels: got {classes}."
        )
