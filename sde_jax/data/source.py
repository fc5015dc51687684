"""What a data set is to training and evaluation, and what every one of them does alike."""

import abc
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from sde_jax.arrays import Array, Float, Int, PRNGKeyArray, PyTree
from sde_jax.data.scaling import Scaling

__all__ = ["Batch", "DataSource", "DataSpec", "Layout"]


class Batch(NamedTuple):
    """Examples as the model sees them."""

    x: Float[Array, "batch *shape"]
    """Model coordinates: images in [-1, 1] or [0, 1], dequantized; points as they are."""

    label: Int[Array, "batch"] | None
    """Class of each example, where the data has classes."""


class Layout(NamedTuple):
    """What a model needs to know of data that it does not see."""

    shape: tuple[int, ...]
    """Shape of one example."""

    scaling: Scaling
    """Model coordinates to the data's own, with the log-determinant."""


class DataSource(Protocol):
    """A data set with its splits and its scaling."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""

    @property
    def scaling(self) -> Scaling:
        """Model coordinates to the data's own, with the log-determinant."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of examples in each split."""

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
        """Endless shuffled batches, from number ``start`` on.

        Batch ``i`` is a function of ``(key, i)`` alone, so a resumed run sees what an unbroken one
        would have seen. Every example comes once in each epoch; a batch may span two.
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
        """The first ``count`` examples (None: all) in order, once, the last batch partial.

        The noise of example ``j`` comes from ``fold_in(key, j)``, whatever the batch size.
        """


class DataSpec(abc.ABC):
    """Which data: a frozen keyword-only dataclass of plain values."""

    @abc.abstractmethod
    def load(self) -> DataSource:
        """Reads the data."""

    def layout(self) -> Layout:
        """Shape and scaling of the examples; reads the data unless the spec states them."""
        source = self.load()
        return Layout(source.shape, source.scaling)


def check_request(sizes: Mapping[str, int], split: str, batch_size: int) -> int:
    """The number of examples in ``split``; raises ``ValueError`` for what cannot be served."""
    if split not in sizes:
        raise ValueError(f"`split` must be one of {', '.join(sizes)}: got {split!r}")
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1: got {batch_size}")
    return sizes[split]


def classes_of(labels: Mapping[str, np.ndarray] | None) -> int | None:
    """`DataSource.classes` of labels by split."""
    return None if labels is None else 1 + max(int(of_split.max()) for of_split in labels.values())


def seed_of(key: PRNGKeyArray) -> list[int]:
    """The whole numbers that ``key`` consists of."""
    return np.asarray(jax.random.key_data(key)).ravel().tolist()


def ordered_indices(size: int, batch_size: int, count: int | None) -> Iterator[np.ndarray]:
    """0, 1, ... in batches up to the smaller of ``size`` and ``count``, the last one partial."""
    end = size if count is None else min(size, count)
    for first in range(0, end, batch_size):
        yield np.arange(first, min(first + batch_size, end), dtype=np.uint32)


def partial_sharding(sharding: NamedSharding | None, batch_size: int) -> NamedSharding | None:
    """``sharding`` where its devices divide the batch, else the batch replicated on its mesh."""
    if sharding is None or batch_size % sharding.num_devices == 0:
        return sharding
    return NamedSharding(sharding.mesh, PartitionSpec())


def put(array: np.ndarray, sharding: NamedSharding | None) -> Array:
    """``array``, which every process holds whole, on the device or spread by ``sharding``."""
    if sharding is None:
        return jnp.asarray(array)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def map_examples(
    function: Callable[[PyTree, PyTree], PyTree],
    shared: PyTree,
    examples: PyTree,
    sharding: NamedSharding | None,
) -> PyTree:
    """``function(shared, example)`` for each example, each device doing its own."""
    mapped = jax.vmap(function, in_axes=(None, 0))
    if sharding is not None:
        mapped = jax.shard_map(
            mapped,
            mesh=sharding.mesh,
            in_specs=(PartitionSpec(), sharding.spec),
            out_specs=sharding.spec,
        )
    return mapped(shared, examples)
