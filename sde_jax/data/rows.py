"""Rows of a split: on the device, on the host, or none."""

import dataclasses
from collections.abc import Iterator
from typing import Protocol

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from sde_jax.arrays import PyTree
from sde_jax.data.decoding import ImageArray, batches_ahead, read_ahead
from sde_jax.data.placement import local_places, partial_sharding, put, put_local
from sde_jax.data.shuffle import BatchIndices

Sharding = NamedSharding | None
TableAndRows = tuple[PyTree, PyTree]


class Rows(Protocol):
    """The rows of a split, one for each example."""

    @property
    def classes(self) -> int | None:
        """One more than the largest label; None for rows without labels."""

    def __len__(self) -> int:
        """Number of rows."""

    def read(self, indices: BatchIndices, sharding: Sharding) -> Iterator[TableAndRows]:
        """Yields ``(table, rows)`` for each batch, on the devices.

        ``rows`` holds a row for each example of the batch. If ``table`` is not None, ``rows`` holds
        the indices of these rows in the table instead.
        """


class DeviceRows:
    """Examples with their labels and vectors on the device, replicated over the mesh and copied
    there once.

    Args:
      images: ``[count, *shape]``, for images uint8.
      labels: integers ``[count]``, or None.
      vectors: conditioning vectors, float32 ``[count, size]``, or None.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray | None, vectors: np.ndarray | None = None
    ) -> None:
        self.images = images
        self.labels = None if labels is None else labels.astype(np.int32)
        self.vectors = vectors
        self.classes = _classes(labels)
        self._placed: dict[NamedSharding | None, PyTree] = {}

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: BatchIndices, sharding: Sharding) -> Iterator[TableAndRows]:
        """See `Rows.read`."""
        if sharding not in self._placed:
            replicated = sharding and NamedSharding(sharding.mesh, PartitionSpec())
            columns = self.images, self.labels, self.vectors
            self._placed[sharding] = jax.tree.map(lambda x: put(x, replicated), columns)
        for batch in indices:
            yield self._placed[sharding], put(batch, partial_sharding(sharding, len(batch)))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HostRows:
    """Examples with their labels and vectors on the host.

    Each process reads only the images that its devices hold, some batches ahead.
    """

    images: ImageArray
    """The images."""

    labels: np.ndarray | None = None
    """int32 ``[count]``."""

    vectors: ImageArray | None = None
    """Conditioning vectors, float32 ``[count, size]``."""

    threads: int
    """Threads that read the images."""

    processes: int = 0
    """Processes that read the images of a shuffled stream instead of the threads, if not 0."""

    @property
    def classes(self) -> int | None:
        """See `Rows.classes`."""
        return _classes(self.labels)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: BatchIndices, sharding: Sharding) -> Iterator[TableAndRows]:
        """See `Rows.read`."""
        shardings = {length: partial_sharding(sharding, length) for length in indices.lengths}
        places = {length: local_places(of_batch, length) for length, of_batch in shardings.items()}
        ahead = read_ahead(
            self.images.__getitem__,
            dataclasses.replace(indices, places=places),
            ahead=batches_ahead(self.images, max(map(len, places.values()), default=0)),
            threads=self.threads,
            processes=0 if indices.shuffle is None else self.processes,
        )
        for batch, images in zip(indices, ahead, strict=True):
            of_batch = shardings[len(batch)]
            labels, vectors = (
                None if column is None else put(column[batch], of_batch)
                for column in (self.labels, self.vectors)
            )
            yield None, (put_local(images, len(batch), of_batch), labels, vectors)


@dataclasses.dataclass(frozen=True)
class EmptyRows:
    """Rows without content, of examples that a distribution draws from their keys."""

    count: int
    """Number of rows."""

    classes: int | None
    """See `Rows.classes`."""

    def __len__(self) -> int:
        return self.count

    def read(self, indices: BatchIndices, sharding: Sharding) -> Iterator[TableAndRows]:
        """See `Rows.read`."""
        return ((None, ()) for _ in range(len(indices)))


def _classes(labels: np.ndarray | None) -> int | None:
    return None if labels is None else 1 + int(labels.max(initial=-1))
