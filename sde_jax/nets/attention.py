"""Attention of every pixel to all pixels, by cuDNN where a GPU has it."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float

Heads = Float[Array, "batch pixels heads width"]


def attend(query: Heads, key: Heads, value: Heads, precision: PrecisionLike = None) -> Heads:
    """Returns ``softmax(q k^T / sqrt(width)) v`` of each head, with the softmax in float32.

    In float16 and bfloat16 a program for a GPU evaluates it by cuDNN, which never stores the matrix
    of all pairs of pixels, if cuDNN has heads of this size. That has no forward-mode derivative, so
    derivatives of any mode are those of the explicit form.
    """
    if not fuses(*query.shape[1:], dtype=query.dtype):
        return explicit(query, key, value, precision)
    return _fused_where_possible(query, key, value, precision)


def explicit(query: Heads, key: Heads, value: Heads, precision: PrecisionLike = None) -> Heads:
    """Returns the attention by the matrix of all pairs of pixels."""
    logits = jnp.einsum(
        "bqhc,bkhc->bhqk", query, key, precision=precision, preferred_element_type=jnp.float32
    )
    weights = nn.softmax(logits / math.sqrt(query.shape[-1])).astype(value.dtype)
    return jnp.einsum("bhqk,bkhc->bqhc", weights, value, precision=precision)


def fused(query: Heads, key: Heads, value: Heads) -> Heads:
    """Returns the attention by cuDNN.

    Raises:
      RuntimeError: if cuDNN is missing, or has no attention of this type or size.
    """
    return jax.nn.dot_product_attention(query, key, value, implementation="cudnn")


@functools.cache
def fuses(pixels: int, heads: int, width: int, *, dtype: DTypeLike) -> bool:
    """Returns whether the GPU of this process has the attention of cuDNN; compiles it to see."""
    if jax.default_backend() != "gpu" or dtype == jnp.float32:
        return False
    example = jax.ShapeDtypeStruct((1, pixels, heads, width), dtype)
    try:
        jax.jit(fused).lower(example, example, example).compile()
    except RuntimeError:
        return False
    return True


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _fused_where_possible(
    query: Heads, key: Heads, value: Heads, precision: PrecisionLike
) -> Heads:
    default = functools.partial(explicit, precision=precision)
    found: Heads = jax.lax.platform_dependent(query, key, value, cuda=fused, default=default)
    return found


@_fused_where_possible.defjvp
def _explicit_derivative(
    precision: PrecisionLike, primals: tuple[Heads, ...], tangents: tuple[Heads, ...]
) -> tuple[Heads, Heads]:
    return jax.jvp(functools.partial(explicit, precision=precision), primals, tangents)
