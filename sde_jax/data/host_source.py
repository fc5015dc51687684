"""Images that stay on the host, of which each device is sent those of its batches."""

import functools
from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from sde_jax.arrays import Array, Int, PRNGKeyArray, PyTree
from sde_jax.data.decoding import Rows, ShuffledPicks, read_ahead
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.shuffle import Shuffle
from sde_jax.data.source import (
    Batch,
    check_request,
    classes_of,
    map_examples,
    ordered_indices,
    partial_sharding,
    put,
    seed_of,
)
from sde_jax.data.treatment import treat

__all__ = ["HostSource"]


class HostSource:
    """Images of the host, sent to the devices as uint8, where they are flipped and dequantized.

    The batches are bitwise those of an `ArraySource` of the same images. Each process reads only
    the examples that its devices hold, some batches before they are asked for.

    Args:
      rows: the images by split, none empty.
      shape: height, width and channels of an image.
      labels: integer arrays ``[count]`` by split, or None.
      scaling: for 256 grey levels.
      flip: as in `ArraySource`.
      dequantize: as in `ArraySource`.
      threads: that read the images.
      processes: that read those of a ``stream`` instead of the threads, where not 0.
    """

    def __init__(
        self,
        rows: Mapping[str, Rows],
        shape: tuple[int, int, int],
        labels: Mapping[str, np.ndarray] | None,
        *,
        scaling: ImageScaling,
        flip: bool,
        dequantize: bool,
        threads: int,
        processes: int = 0,
    ) -> None:
        self.rows = dict(rows)
        self.shape = shape
        self.labels = None if labels is None else dict(labels)
        self.scaling = scaling
        self.flip = flip
        self.dequantize = dequantize
        self.threads = threads
        self.processes = processes

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of images in each split."""
        return {split: len(rows) for split, rows in self.rows.items()}

    @property
    def classes(self) -> int | None:
        """See `DataSource.classes`."""
        return classes_of(self.labels)

    def stream(
        self,
        key: PRNGKeyArray,
        split: str,
        batch_size: int,
        *,
        start: int = 0,
        sharding: NamedSharding | None = None,
    ) -> Iterator[Batch]:
        """See `DataSource.stream`; `Shuffle`, seeded by the key, orders the examples."""
        shuffle = Shuffle(seed_of(key), check_request(self.sizes, split, batch_size))
        placed = partial_sharding(sharding, batch_size)
        picks = ShuffledPicks(
            shuffle=shuffle,
            batch_size=batch_size,
            start=start,
            places=local_places(placed, batch_size),
        )
        slots = np.arange(batch_size, dtype=np.uint32)

        def batches() -> Iterator[Batch]:
            for step, images in enumerate(self._read(split, picks, self.processes), start):
                yield self._batch(
                    split,
                    images,
                    shuffle.indices(step * batch_size, batch_size),
                    jax.random.fold_in(key, step),
                    slots,
                    flip=self.flip,
                    dequantize=self.dequantize,
                    sharding=placed,
                )

        return batches()

    def batches(
        self,
        key: PRNGKeyArray,
        split: str,
        batch_size: int,
        *,
        count: int | None = None,
        sharding: NamedSharding | None = None,
    ) -> Iterator[Batch]:
        """See `DataSource.batches`."""
        size = check_request(self.sizes, split, batch_size)
        indices = list(ordered_indices(size, batch_size, count))
        placed = [partial_sharding(sharding, len(batch)) for batch in indices]
        picks = [
            batch[local_places(place, len(batch))]
            for batch, place in zip(indices, placed, strict=True)
        ]
        return (
            self._batch(
                split, images, batch, key, batch, flip=False, dequantize=True, sharding=place
            )
            for images, batch, place in zip(self._read(split, picks), indices, placed, strict=True)
        )

    def _read(
        self, split: str, picks: Sequence[np.ndarray] | ShuffledPicks, processes: int = 0
    ) -> Iterator[np.ndarray]:
        threads = 0 if processes else self.threads
        return read_ahead(self.rows[split], picks, threads=threads, processes=processes)

    def _batch(
        self,
        split: str,
        images: np.ndarray,
        indices: np.ndarray,
        key: PRNGKeyArray,
        noise_ids: np.ndarray,
        *,
        flip: bool,
        dequantize: bool,
        sharding: NamedSharding | None,
    ) -> Batch:
        labels = None if self.labels is None else self.labels[split][indices].astype(np.int32)
        return _treat(
            key,
            put_local(images, len(indices), sharding),
            put(noise_ids, sharding),
            None if labels is None else put(labels, sharding),
            scaling=self.scaling,
            flip=flip,
            dequantize=dequantize,
            sharding=sharding,
        )


def local_places(sharding: NamedSharding | None, count: int) -> np.ndarray:
    """Which of a batch's ``count`` examples the devices of this process hold."""
    places = np.arange(count)
    if sharding is None:
        return places
    parts = sharding.addressable_devices_indices_map((count,)).values()
    return np.unique(np.concatenate([places[part] for part in parts]))


def put_local(rows: np.ndarray, count: int, sharding: NamedSharding | None) -> Array:
    """A batch of ``count`` on the devices, of which ``rows`` are this process's `local_places`."""
    if sharding is None:
        return jnp.asarray(rows)
    places = local_places(sharding, count)

    def part(index: tuple[slice, ...] | None) -> np.ndarray:
        first = () if index is None else index[:1]
        return rows[np.searchsorted(places, np.arange(count)[first])]

    return jax.make_array_from_callback((count, *rows.shape[1:]), sharding, part)


@functools.partial(jax.jit, static_argnames=("scaling", "flip", "dequantize", "sharding"))
def _treat(
    key: PRNGKeyArray,
    images: Int[Array, "batch height width channels"],
    noise_ids: Int[Array, "batch"],
    labels: Int[Array, "batch"] | None,
    *,
    scaling: ImageScaling,
    flip: bool,
    dequantize: bool,
    sharding: NamedSharding | None,
) -> Batch:
    def example(key: PRNGKeyArray, one: PyTree) -> Array:
        image, noise_id = one
        return treat(image, key, noise_id, scaling=scaling, flip=flip, dequantize=dequantize)

    return Batch(map_examples(example, key, (images, noise_ids), sharding), labels)
