"""The interface of a data set to training and evaluation."""

import abc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from jax.sharding import NamedSharding

from sde_jax.arrays import Array, Float, Int, PRNGKeyArray
from sde_jax.data.scaling import Scaling

TRAIN = "train"
"""The split of training examples."""

TEST = "test"
"""The split of held-out examples."""

ENDLESS = 2**31 - 1
"""The size of a split that has no end."""


class Batch(NamedTuple):
    """Examples as the model sees them."""

    x: Float[Array, "batch *shape"]
    """Model coordinates: images in [-1, 1] or [0, 1], dequantized; points as they are."""

    label: Int[Array, "batch"] | None
    """Class of each example, if the data has classes."""


class Layout(NamedTuple):
    """Shape and scaling of examples: enough to build a model without the data."""

    shape: tuple[int, ...]
    """Shape of one example."""

    scaling: Scaling
    """Map between model coordinates and the data's own values, with its log-determinant."""


class DataSource(Protocol):
    """A data set with its splits and its scaling."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""

    @property
    def scaling(self) -> Scaling:
        """Map between model coordinates and the data's own values, with its log-determinant."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of examples in each split; `ENDLESS` for a split without an end."""

    @property
    def classes(self) -> int | None:
        """One more than the largest label; None for data without labels."""

    def stream(
        self,
        key: PRNGKeyArray,
        split: str,
        batch_size: int,
        *,
        start: int = 0,
        sharding: NamedSharding | None = None,
    ) -> Iterator[Batch]:
        """Yields shuffled batches without end, from number ``start`` on.

        Batch ``i`` is a function of ``(key, i)`` alone, so a resumed run sees the batches of an
        unbroken one. Every example comes once in each epoch; a batch may span two epochs.
        """

    def batches(
        self,
        key: PRNGKeyArray,
        split: str,
        batch_size: int,
        *,
        count: int | None = None,
        sharding: NamedSharding | None = None,
    ) -> Iterator[Batch]:
        """Yields the first ``count`` examples (None: all) in order, once, the last batch partial.

        The noise of example ``j`` comes from ``fold_in(key, j)``, whatever the batch size.
        """


class DataSpec(abc.ABC):
    """A description of data: a frozen keyword-only dataclass of plain values."""

    @abc.abstractmethod
    def load(self) -> DataSource:
        """Reads the data."""

    def layout(self) -> Layout:
        """Returns shape and scaling; reads the data unless the spec states them."""
        source = self.load()
        return Layout(source.shape, source.scaling)

    def in_run(self, folder: Path) -> Self:
        """Returns the spec as the run in ``folder`` reads it, which may keep data of its own."""
        return self


def check_request(sizes: Mapping[str, int], split: str, batch_size: int) -> int:
    """Returns the number of examples in ``split``.

    Raises:
      ValueError: if there is no such split, or the batch is empty.
    """
    if split not in sizes:
        raise ValueError(f"`split` must be one of {', '.join(sizes)}: got {split!r}")
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1: got {batch_size}")
    return sizes[split]
