"""Doubling and halving of images without parameters: ``[batch, height, width, channels]``."""

import jax.numpy as jnp

from sde_jax.arrays import Array, Float

__all__ = ["downsample_mean", "upsample_nearest"]


def upsample_nearest(
    x: Float[Array, "batch height width channels"],
) -> Float[Array, "batch 2*height 2*width channels"]:
    """Repeats every pixel twice in height and twice in width."""
    batch, height, width, channels = x.shape
    repeated = jnp.broadcast_to(x[:, :, None, :, None, :], (batch, height, 2, width, 2, channels))
    return repeated.reshape(batch, 2 * height, 2 * width, channels)


def downsample_mean(
    x: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height/2 width/2 channels"]:
    """Averages every two by two pixels; height and width are even."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
