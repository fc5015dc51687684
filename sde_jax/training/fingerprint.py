"""A checksum of many arrays, equal on every mesh, their types, and a test for finite values."""

import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, PyTree


def checksum(tree: PyTree) -> int:
    """Returns a 32-bit checksum of the arrays of ``tree``, in order.

    It is computed on the devices by sums modulo 2^32 that do not depend on the sharding. A change
    of one element always changes it; other changes go unseen with probability 2^-32.
    """
    sums = jax.device_get([array_sum(x) for x in jax.tree.leaves(tree)])
    return zlib.crc32(np.asarray(sums, "<u4").tobytes())


def described(tree: PyTree) -> dict[str, str]:
    """Returns type and shape of each array by its path, such as ``params.Conv_0.kernel``."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): f"{x.dtype}{list(x.shape)}"
        for path, x in jax.tree_util.tree_leaves_with_path(tree)
    }


def all_finite(tree: PyTree) -> bool:
    """Returns whether no floating-point array of ``tree`` contains a NaN or an infinity."""
    floating = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return all(jax.device_get([array_is_finite(x) for x in floating]))


@jax.jit
def array_is_finite(x: Array) -> Array:
    """Returns whether every element is finite."""
    return jnp.isfinite(x).all()


@jax.jit
def array_sum(x: Array) -> Array:
    """Returns the sum over elements of a bijective mix of their bits, offset by position."""
    if x.dtype == jnp.bool_:
        x = x.astype(jnp.uint8)
    bits = jax.lax.bitcast_convert_type(x, jnp.dtype(f"uint{8 * x.dtype.itemsize}"))
    if bits.dtype.itemsize > 4:
        bits = bits ^ (bits >> 32)
    position = jnp.zeros(x.shape, jnp.uint32)
    for axis in range(x.ndim):
        stride = math.prod(x.shape[axis + 1 :]) % 2**32
        position += jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis) * jnp.uint32(stride)
    return mix(bits.astype(jnp.uint32) + mix(position + 1)).sum(dtype=jnp.uint32)


def mix(bits: Array) -> Array:
    """Applies MurmurHash3's finalizer, a bijection of uint32 that spreads each bit over all."""
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> 13)) * jnp.uint32(0xC2B2AE35)
    return bits ^ (bits >> 16)
