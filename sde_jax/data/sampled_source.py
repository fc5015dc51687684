"""Data that is drawn from a distribution as it is needed."""

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Protocol

import jax
import numpy as np
from jax.sharding import NamedSharding

from sde_jax.arrays import Array, Int, Key, PRNGKeyArray
from sde_jax.data.scaling import PointScaling
from sde_jax.data.source import (
    Batch,
    check_request,
    map_examples,
    ordered_indices,
    partial_sharding,
    put,
)

__all__ = ["SampledSource"]

TRAIN_SIZE = 2**31 - 1
TEST_SIZE = 10_000
TEST_SEED = 10_000


class Drawable(Protocol):
    """A hashable spec that draws."""

    @property
    def classes(self) -> int | None:
        """Number of labels, from 0 on; None where examples have none."""

    def sample(self, key: PRNGKeyArray) -> Batch:
        """One example, without the batch dimension, with its label if it has one."""


class SampledSource:
    """Fresh examples of a distribution for training, and 10,000 fixed ones for testing.

    The epoch of ``stream`` never ends; the size of the train split is how many numbers its examples
    have. The test split is the same for every key. The values do not depend on the devices.

    Args:
      distribution: a frozen spec that draws one example of a given shape.
      shape: the shape of an example.
    """

    def __init__(self, distribution: Drawable, *, shape: tuple[int, ...]) -> None:
        self.distribution = distribution
        self.shape = shape
        self.scaling = PointScaling()
        self.sizes: Mapping[str, int] = {"train": TRAIN_SIZE, "test": TEST_SIZE}
        self.classes = distribution.classes

    def stream(
        self,
        key: PRNGKeyArray,
        split: str,
        batch_size: int,
        *,
        start: int = 0,
        sharding: NamedSharding | None = None,
    ) -> Iterator[Batch]:
        """See `DataSource.stream`; fresh examples, whatever the split."""
        check_request(self.sizes, split, batch_size)
        slots = np.arange(batch_size, dtype=np.uint32)
        return (
            self._batch(jax.random.fold_in(key, step), slots, sharding)
            for step in itertools.count(start)
        )

    def batches(
        self,
        key: PRNGKeyArray,
        split: str,
        batch_size: int,
        *,
        count: int | None = None,
        sharding: NamedSharding | None = None,
    ) -> Iterator[Batch]:
        """See `DataSource.batches`; ``fold_in(key, j)`` draws example ``j`` of the train split."""
        size = check_request(self.sizes, split, batch_size)
        if split == "test":
            key = jax.random.key(TEST_SEED, impl="threefry2x32")
        return (
            self._batch(key, indices, sharding)
            for indices in ordered_indices(size, batch_size, count)
        )

    def _batch(
        self, key: PRNGKeyArray, indices: np.ndarray, sharding: NamedSharding | None
    ) -> Batch:
        sharding = partial_sharding(sharding, len(indices))
        return _draw(key, put(indices, sharding), distribution=self.distribution, sharding=sharding)


@functools.partial(jax.jit, static_argnames=("distribution", "sharding"))
def _draw(
    key: Key[Array, ""],
    indices: Int[Array, "batch"],
    *,
    distribution: Drawable,
    sharding: NamedSharding | None,
) -> Batch:
    def example(key: Key[Array, ""], index: Int[Array, ""]) -> Batch:
        return distribution.sample(jax.random.fold_in(key, index))

    return map_examples(example, key, indices, sharding)
