"""What becomes of one stored image on the device."""

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Int, PRNGKeyArray
from sde_jax.data.scaling import ImageScaling

__all__ = ["treat"]


def treat(
    image: Int[Array, "height width channels"],
    key: PRNGKeyArray,
    noise_id: Int[Array, ""],
    *,
    scaling: ImageScaling,
    flip: bool,
    dequantize: bool,
) -> Float[Array, "height width channels"]:
    """``image`` in model coordinates, flipped and dequantized by ``fold_in(key, noise_id)``."""
    key_noise, key_flip = jax.random.split(jax.random.fold_in(key, noise_id))
    if flip:
        image = jnp.where(jax.random.bernoulli(key_flip), image[:, ::-1], image)
    if dequantize:
        return scaling.dequantize(image, jax.random.uniform(key_noise, image.shape))
    return scaling.place(image)
