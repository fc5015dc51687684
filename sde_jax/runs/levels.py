"""Storage of images as integers."""

import jax.numpy as jnp
import numpy as np

from sde_jax.data import ImageScaling, Scaling


def to_levels(data: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Rounds images in [0, 1] to levels of the smallest integer type; points stay the same."""
    if not isinstance(scaling, ImageScaling):
        return data
    top = scaling.levels - 1
    return np.rint(np.float64(data) * top).astype(np.min_scalar_type(top))


def from_levels(levels: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Inverts `to_levels`, with the exact values of `Scaling.to_unit`."""
    if not isinstance(scaling, ImageScaling):
        return levels
    return np.asarray(scaling.to_unit(scaling.dequantize(jnp.asarray(levels), jnp.float32(0.5))))


def eight_bit(data: np.ndarray) -> np.ndarray:
    """Rounds images in [0, 1] to levels from 0 to 255."""
    return np.rint(255 * np.clip(np.float64(data), 0, 1)).astype(np.uint8)
