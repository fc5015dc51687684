"""Images in arrays."""

from collections.abc import Mapping

import numpy as np

from sde_jax.data.rows import DeviceRows
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import DataSource
from sde_jax.data.transform import DequantizeAndFlip


class ArraySource(DataSource):
    """Images that live on the device as uint8, where they are gathered, flipped and dequantized.

    Args:
      images: uint8 arrays ``[count, height, width, channels]`` by split, alike but in count.
      labels: integer arrays ``[count]`` by split, or None.
      scaling: the grey levels, by default 256; every value must lie below ``scaling.levels``.
      flip: mirrors each image of ``stream`` left to right with probability one half; ``batches``
        never does.
      dequantize: spreads each grey level of ``stream`` over its bin; otherwise
        `ImageScaling.place` places it. ``batches`` always dequantizes, since densities need it.

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
        scaling = scaling or ImageScaling()
        _check(images, labels, scaling)
        self.images = dict(images)
        self.labels = None if labels is None else dict(labels)
        transform = DequantizeAndFlip(scaling=scaling, flip=flip, dequantize=dequantize)
        super().__init__(
            {
                split: DeviceRows(of_split, None if labels is None else labels[split])
                for split, of_split in images.items()
            },
            transform,
            transform.for_evaluation,
            shape=next(iter(images.values())).shape[1:],
            scaling=scaling,
        )


def _check(
    images: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray] | None,
    scaling: ImageScaling,
) -> None:
    if not images:
        raise ValueError("`images` must hold at least one split: got none")
    shape = next(iter(images.values())).shape[1:]
    for split, of_split in images.items():
        if of_split.dtype != np.uint8 or of_split.ndim != 4 or of_split.shape[1:] != shape:
            raise ValueError(
                "`images` must be uint8 [count, height, width, channels] of one shape: "
                f"split {split!r} is {of_split.dtype} {of_split.shape}"
            )
        if not len(of_split):
            raise ValueError(f"`images` must not be empty: split {split!r} is")
        if of_split.max() >= scaling.levels:
            raise ValueError(
                f"`images` must lie below levels={scaling.levels}: "
                f"split {split!r} has {of_split.max()}"
            )
        if labels is not None and labels[split].shape != of_split.shape[:1]:
            raise ValueError(
                f"`labels` must have one entry for each of {len(of_split)} images: "
                f"split {split!r} has shape {labels[split].shape}"
            )
