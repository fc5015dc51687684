"""Published ways to convert images to Inception's input: 299 x 299 pixels between -1 and 1."""

import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Image
from sde_jax.metrics.preprocessing_names import InceptionPreprocessing

SIZE = 299


def prepare(
    images: Image, preprocessing: InceptionPreprocessing
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
    images: Image, preprocessing: InceptionPreprocessing
) -> Float[Array, "batch 299 299 channels"]:
    """Resizes images to 299 x 299 pixels; levels stay in 0 to 255, unrounded."""
    x = jnp.asarray(images, jnp.float32)
    rows, columns = (_weights(n, preprocessing).astype(np.float32) for n in images.shape[1:3])
    x = jnp.einsum("yh,bhwc->bywc", rows, x, precision="highest")
    x = jnp.einsum("xw,bywc->byxc", columns, x, precision="highest")
    return jnp.clip(x, 0, 255) if preprocessing == "clean_fid" else x


def _weights(size: int, preprocessing: InceptionPreprocessing) -> np.ndarray:
    """Returns the resampling matrix along one axis of ``size`` pixels, ``[299, size]``.

    All but clean_fid interpolate between the two pixels next to a place, clamped at the last pixel.
    """
    if preprocessing == "clean_fid":
        return _bicubic(size)
    places = np.arange(SIZE) * size / SIZE
    if preprocessing == "pytorch_fid":
        places = np.maximum(places + (size / SIZE - 1) / 2, 0)
    low = np.minimum(np.floor(places).astype(int), size - 1)
    share = (places - low)[:, None]
    pixels = np.eye(size)
    return (1 - share) * pixels[low] + share * pixels[np.minimum(low + 1, size - 1)]


def _bicubic(size: int) -> np.ndarray:
    """Returns Keys' filter (1981, eq. 4) with a = -1/2, stretched when shrinking and normalized."""
    scale = size / SIZE
    centres = (np.arange(SIZE) + 0.5) * scale
    x = np.abs(np.arange(size) + 0.5 - centres[:, None]) / max(scale, 1.0)
    inner, outer = (1.5 * x - 2.5) * x**2 + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x < 1, inner, np.where(x < 2, outer, 0))
    return weights / weights.sum(axis=1, keepdims=True)
