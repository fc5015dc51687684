"""The order of a stream: a fresh permutation in each epoch."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator, Philox, SeedSequence

__all__ = ["Shuffle"]

EPOCHS_KEPT = 2


class Shuffle:
    """All examples in a random order, then all in another, without end.

    The order of an epoch is numpy's Philox's, seeded by ``seed`` and the epoch, and is made when it
    is first needed. This module imports no JAX: processes that decode use it, too.

    Args:
      seed: whole numbers, not negative.
      size: the number of examples.
    """

    def __init__(self, seed: Sequence[int], size: int) -> None:
        self.seed = tuple(seed)
        self.size = size
        self._orders: dict[int, np.ndarray] = {}

    def indices(self, first: int, count: int) -> np.ndarray:
        """``count`` examples from place ``first`` on of all epochs, one after the other."""
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
