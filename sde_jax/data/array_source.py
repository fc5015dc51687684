"""Images that live on the device."""

import functools
import itertools
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from sde_jax.arrays import Array, Int, Key, PRNGKeyArray, PyTree
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

__all__ = ["ArraySource"]


class ArraySource:
    """Images that live on the device as uint8, where they are gathered, flipped and dequantized.

    With a ``sharding`` over the mesh's one axis the images are replicated and batches come out
    sharded; a partial batch that the devices do not divide comes out replicated. The values do not
    depend on the devices.

    Args:
      images: uint8 arrays ``[count, height, width, channels]`` by split, alike but in count.
      labels: integer arrays ``[count]`` by split, or None.
      scaling: the grey levels, by default 256; every value must lie below ``scaling.levels``.
      flip: whether ``stream`` mirrors each image left to right with probability one half;
        ``batches`` never does.
      dequantize: whether ``stream`` spreads each grey level over its bin, or places it by
        `ImageScaling.place`; ``batches`` always spreads, since densities need it.

    Raises:
      ValueError: if an array is not as described.
    """

    def __init__(
        self,
        images: Mapping[str, np.ndarray],
        labels: Mapping[str, np.ndarray] | None = None,
        *,
        scaling: ImageScaling | None = None,
        flip: bool = False,
        dequantize: bool = True,
    ) -> None:
        self.images = dict(images)
        self.labels = None if labels is None else dict(labels)
        self.scaling = scaling or ImageScaling()
        self.flip = flip
        self.dequantize = dequantize
        self._check()
        self._placed: dict[tuple[str, NamedSharding | None], tuple[Array, Array | None]] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and channels of an image."""
        return next(iter(self.images.values())).shape[1:]

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of images in each split."""
        return {split: len(images) for split, images in self.images.items()}

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
        size = check_request(self.sizes, split, batch_size)
        shuffle = Shuffle(seed_of(key), size)
        slots = np.arange(batch_size, dtype=np.uint32)
        return (
            self._batch(
                split,
                shuffle.indices(step * batch_size, batch_size),
                jax.random.fold_in(key, step),
                slots,
                flip=self.flip,
                dequantize=self.dequantize,
                sharding=sharding,
            )
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
        """See `DataSource.batches`."""
        size = check_request(self.sizes, split, batch_size)
        return (
            self._batch(
                split, indices, key, indices, flip=False, dequantize=True, sharding=sharding
            )
            for indices in ordered_indices(size, batch_size, count)
        )

    def _batch(
        self,
        split: str,
        indices: np.ndarray,
        key: PRNGKeyArray,
        noise_ids: np.ndarray,
        *,
        flip: bool,
        dequantize: bool,
        sharding: NamedSharding | None,
    ) -> Batch:
        sharding_of_batch = partial_sharding(sharding, len(indices))
        picks = np.stack([indices, noise_ids], axis=1)
        return _gather(
            self._on_device(split, sharding),
            key,
            put(picks, sharding_of_batch),
            scaling=self.scaling,
            flip=flip,
            dequantize=dequantize,
            sharding=sharding_of_batch,
        )

    def _on_device(self, split: str, sharding: NamedSharding | None) -> tuple[Array, Array | None]:
        """Images and labels of the split, replicated over the mesh; copied there once."""
        if (split, sharding) not in self._placed:
            replicated = sharding and NamedSharding(sharding.mesh, PartitionSpec())
            labels = None if self.labels is None else self.labels[split].astype(np.int32)
            self._placed[split, sharding] = (
                put(self.images[split], replicated),
                None if labels is None else put(labels, replicated),
            )
        return self._placed[split, sharding]

    def _check(self) -> None:
        if not self.images:
            raise ValueError("`images` must hold at least one split: got none")
        for split, images in self.images.items():
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.shape:
                raise ValueError(
                    "`images` must be uint8 [count, height, width, channels] of one shape: "
                    f"split {split!r} is {images.dtype} {images.shape}"
                )
            if not len(images):
                raise ValueError(f"`images` must not be empty: split {split!r} is")
            if images.max() >= self.scaling.levels:
                raise ValueError(
                    f"`images` must lie below levels={self.scaling.levels}: "
                    f"split {split!r} has {images.max()}"
                )
            if self.labels is not None and self.labels[split].shape != images.shape[:1]:
                raise ValueError(
                    f"`labels` must be one for each of {len(images)} images: "
                    f"split {split!r} has shape {self.labels[split].shape}"
                )


@functools.partial(jax.jit, static_argnames=("scaling", "flip", "dequantize", "sharding"))
def _gather(
    split: tuple[Int[Array, "count height width channels"], Int[Array, "count"] | None],
    key: Key[Array, ""],
    picks: Int[Array, "batch 2"],
    *,
    scaling: ImageScaling,
    flip: bool,
    dequantize: bool,
    sharding: NamedSharding | None,
) -> Batch:
    """Example ``picks[b, 0]``, flipped and dequantized by ``fold_in(key, picks[b, 1])``."""

    def example(split: PyTree, pick: Int[Array, "2"]) -> Batch:
        (images, labels), key = split
        x = treat(images[pick[0]], key, pick[1], scaling=scaling, flip=flip, dequantize=dequantize)
        return Batch(x, None if labels is None else labels[pick[0]])

    return map_examples(example, (split, key), picks, sharding)
