"""Published ways to convert images to Inception's input: 299 x 299 pixels between -1 and 1."""

import math
from typing import Literal, assert_never

import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float

__all__ = ["SIZE", "InceptionPreprocessing", "prepare", "resize"]

SIZE = 299

InceptionPreprocessing = Literal["tensorflow", "score_sde", "pytorch_fid", "clean_fid"]
"""tensorflow: as in the original and in torch-fidelity, bilinear from the top left corner,
``(x - 128) / 128``. score_sde: the same with ``(x - 127.5) / 127.5``. pytorch_fid: bilinear from
pixel centres, ``2 x / 255 - 1``. clean_fid: Pillow's antialiased bicubic filter, then as
tensorflow."""


def prepare(
    images: Float[Array, "batch height width channels"], preprocessing: InceptionPreprocessing
) -> Float[Array, "batch 299 299 3"]:
    """Returns the network's input, in float32.

    Args:
      images: levels from 0 to 255 of any real type, gray or RGB.
      preprocessing: the published conversion.

    Raises:
      ValueError: unless there are one or three channels.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"Inception takes images of 1 or 3 channels: got an array of shape {images.shape}."
        )
    x = jnp.broadcast_to(resize(images, preprocessing), (len(images), SIZE, SIZE, 3))
    middle = 128 if preprocessing in ("tensorflow", "clean_fid") else 127.5
    return (x - middle) / middle


def resize(
    images: Float[Array, "batch height width channels"], preprocessing: InceptionPreprocessing
) -> Float[Array, "batch 299 299 channels"]:
    """Resizes images to 299 x 299 pixels; levels stay in 0 to 255, unrounded."""
    rows, columns = (_weights(n, preprocessing).astype(np.float32) for n in images.shape[1:3])
    x = jnp.asarray(images, jnp.float32)
    x = jnp.einsum("yh,bhwc->bywc", rows, x, precision="highest")
    x = jnp.einsum("xw,bywc->byxc", columns, x, precision="highest")
    return jnp.clip(x, 0, 255) if preprocessing == "clean_fid" else x


def _weights(size: int, preprocessing: InceptionPreprocessing) -> np.ndarray:
    """Returns the resampling matrix along one axis of ``size`` pixels, ``[299, size]``."""
    places = np.arange(SIZE) * size / SIZE
    match preprocessing:
        case "tensorflow" | "score_sde":
            return _bilinear(places, size)
        case "pytorch_fid":
            return _bilinear(np.maximum(places + (size / SIZE - 1) / 2, 0), size)
        case "clean_fid":
            return _bicubic(size)
    assert_never(preprocessing)


def _bilinear(places: np.ndarray, size: int) -> np.ndarray:
    """Interpolates between the two pixels next to each place, clamped at the last pixel."""
    low = np.minimum(np.floor(places).astype(int), size - 1)
    share = (places - low)[:, None]
    pixels = np.eye(size)
    return (1 - share) * pixels[low] + share * pixels[np.minimum(low + 1, size - 1)]


def _bicubic(size: int) -> np.ndarray:
    """Returns Keys' filter with a = -1/2, stretched when shrinking and normalized at the border."""
    scale = size / SIZE
    width = max(scale, 1.0)
    centres = (np.arange(SIZE) + 0.5) * scale
    weights = np.zeros((SIZE, size))
    for row, centre in enumerate(centres):
        first = max(math.floor(centre - 2 * width + 0.5), 0)
        last = min(math.floor(centre + 2 * width + 0.5), size)
        weights[row, first:last] = _keys((np.arange(first, last) + 0.5 - centre) / width)
    return weights / weights.sum(axis=1, keepdims=True)


def _keys(x: np.ndarray) -> np.ndarray:
    """Evaluates the cubic kernel of Keys 1981, eq. 4."""
    x = np.abs(x)
    inner, outer = (1.5 * x - 2.5) * x**2 + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, inner, np.where(x < 2, outer, 0))
