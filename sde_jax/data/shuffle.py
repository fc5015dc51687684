"""The order of examples: once from the first to the last, or shuffled anew in each epoch."""

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.random import Generator, Philox, SeedSequence

EPOCHS_KEPT = 2


class Shuffle:
    """All examples in a random order, then all in another, without end.

    numpy's Philox, seeded by ``seed`` and the epoch, orders each epoch when its order is first
    needed.

    Args:
      seed: whole numbers, not negative.
      size: the number of examples.
    """

    def __init__(self, seed: Sequence[int], size: int) -> None:
        self.seed = tuple(seed)
        self.size = size
        self._orders: dict[int, np.ndarray] = {}

    def indices(self, first: int, count: int) -> np.ndarray:
        """Returns ``count`` examples from place ``first`` on of all epochs, one after the other."""
        pieces = []
        while count:
            epoch, place = divmod(first, self.size)
            pieces.append(self._order(epoch)[place : place + count])
            first, count = first + len(pieces[-1]), count - len(pieces[-1])
        return np.concatenate(pieces)

    def _order(self, epoch: int) -> np.ndarray:
        orders = self._orders
        if epoch not in orders:
            bits = Philox(SeedSequence([*self.seed, epoch]))
            order = Generator(bits).permutation(self.size).astype(np.uint32)
            kept = sorted([*orders, epoch])[-EPOCHS_KEPT:]
            self._orders = {key: orders.get(key, order) for key in kept}
            return order
        return orders[epoch]


@dataclasses.dataclass(frozen=True, eq=False)
class BatchIndices:
    """The indices of each batch's examples: in order and once, or shuffled without end."""

    size: int
    """Number of examples."""

    batch_size: int
    """Examples in a batch. The last batch in order may have fewer; a shuffled one never does."""

    _: dataclasses.KW_ONLY
    shuffle: Shuffle | None = None
    """The order of the examples. None: 0, 1, ..."""

    start: int = 0
    """Number of the first batch."""

    chosen: np.ndarray | None = None
    """The examples to take in order, of which there are ``size``. None: 0, 1, ..."""

    places: Mapping[int, np.ndarray] | None = None
    """Places of a batch that are used, by the batch's length. None: all."""

    def __len__(self) -> int:
        return sys.maxsize if self.shuffle else len(range(0, self.size, self.batch_size))

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> np.ndarray:
        first = (self.start + number) * self.batch_size
        if self.shuffle:
            batch = self.shuffle.indices(first, self.batch_size)
        else:
            batch = np.arange(first, min(first + self.batch_size, self.size), dtype=np.uint32)
            batch = batch if self.chosen is None else self.chosen[batch]
        return batch if self.places is None else batch[self.places[len(batch)]]

    @property
    def lengths(self) -> set[int]:
        """The lengths that batches have."""
        if self.shuffle:
            return {self.batch_size}
        return {min(self.batch_size, self.size), self.size % self.batch_size} - {0}
