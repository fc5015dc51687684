"""Embeddings of times, class labels and conditioning vectors."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Int, PerExample
from sde_jax.nets.blocks import Layer, product
from sde_jax.nets.condition import Condition, VectorStandardization
from sde_jax.nets.spec import NetworkSpec


def positional_embedding(
    time: PerExample, width: int, max_period: float = 10_000.0
) -> Float[Array, "batch width"]:
    """Embeds ``time`` in sines, then cosines, of geometric frequencies (Vaswani et al. 2017).

    With ``half = width // 2`` the frequencies are ``max_period ** (-k / (half - 1))``,
    ``k = 0 .. half - 1``; an odd width ends in a zero. The longest period is ``2 pi max_period``,
    so times should span about ``[0, 1000]``.

    Raises:
      ValueError: if ``width`` is below 4, where the frequencies are undefined.
    """
    half = width // 2
    if half < 2:
        raise ValueError(f"`width` of a positional embedding must be at least 4: got {width}")
    turns = max_period ** (-np.arange(half) / (half - 1)) / (2 * np.pi)
    frequency = turns.astype(np.float32)
    rest = (turns - frequency).astype(np.float32)
    time = time.astype(jnp.float32)
    angle = 2 * jnp.pi * (_turns(time, jnp.asarray(frequency)) + time[:, None] * rest[None, :])
    embedding = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
    return jnp.pad(embedding, ((0, 0), (0, width - 2 * half)))


def interleaved_embedding(time: PerExample, width: int) -> Float[Array, "batch width"]:
    """Embeds ``time`` as Vaswani et al. 2017 (arXiv:1706.03762, sec. 3.5) embed positions.

    Position ``2 i`` has the sine and position ``2 i + 1`` the cosine of
    ``time / 10000 ** (2 i / width)``, for any real time.

    Raises:
      ValueError: if ``width`` is odd, or below 4.
    """
    if width % 2:
        raise ValueError(f"`width` of an interleaved embedding must be even: got {width}")
    waves = positional_embedding(time, width, max_period=10_000 ** (1 - 2 / width))
    return jnp.stack(jnp.split(waves, 2, axis=1), axis=2).reshape(-1, width)


class GaussianFourierFeatures(nn.Module):
    """Embeds ``time`` as ``[sin(2 pi W time), cos(2 pi W time)]`` with fixed random ``W``.

    ``W ~ N(0, scale^2)`` is drawn at initialization and stored as a parameter, so that it is saved
    and loaded with the others; its gradient is zero (Tancik et al. 2020). Song et al. 2021 use
    ``time = log sigma``.

    Attributes:
      features: number of frequencies; the embedding is twice as wide.
      scale: standard deviation of ``W``.
    """

    features: int
    scale: float = 16.0

    @nn.compact
    def __call__(self, time: PerExample) -> Float[Array, "batch 2*features"]:
        draw = nn.initializers.normal(self.scale)
        frequency = self.param("W", draw, (self.features,), jnp.float32)
        angle = 2 * jnp.pi * _turns(time, jax.lax.stop_gradient(frequency))
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


def _turns(
    time: PerExample, frequency: Float[Array, "frequencies"]
) -> Float[Array, "batch frequencies"]:
    """Returns ``time * frequency`` modulo 1, up to an integer.

    A float32 product of hundreds of turns has an error of 1e-5 turns, which would dominate the
    rounding error of the network. The product is therefore a sum of four exact products of 12 by 12
    bits.
    """

    def halves(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        high = jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=11)
        return high, x - high

    products = [t[:, None] * f[None, :] for t in halves(time) for f in halves(frequency)]
    return functools.reduce(jnp.add, (product - jnp.round(product) for product in products))


class LabelEmbedding(nn.Module):
    """Adds a class embedding; examples of label -1, or all if ``label`` is None, get none.

    Attributes:
      classes: number of classes; None for a network without labels, which adds nothing.

    Returns:
      ``embedding`` plus a learned row per label; NaN for labels of ``classes`` and above.

    Raises:
      ValueError: if there is a label but ``classes`` is None.
    """

    classes: int | None

    @nn.compact
    def __call__(
        self, embedding: Float[Array, "batch width"], label: Int[Array, "batch"] | None
    ) -> Float[Array, "batch width"]:
        if self.classes is None:
            if label is not None:
                raise ValueError("the condition has a label, but the network none: set `classes`")
            return embedding
        # The initialization scale of class embeddings in Karras et al. (2022).
        scaling = nn.initializers.variance_scaling(self.classes, "fan_avg", "uniform")
        shape = (self.classes, embedding.shape[-1])
        table = self.param("table", scaling, shape, jnp.float32)
        if label is None:
            return embedding
        rows = jnp.take(table, label, axis=0, mode="fill").astype(embedding.dtype)
        return embedding + jnp.where((label >= 0)[:, None], rows, 0)


class VectorEmbedding(Layer):
    """Adds ``dense(swish(dense((vector - mean) / deviation)))``; examples with a NaN get none.

    Attributes:
      standardization: mean and deviation; None for a network without vectors, which adds nothing.

    Raises:
      ValueError: if there is a vector but no standardization, or it has another size.
    """

    standardization: VectorStandardization | None

    @nn.compact
    def __call__(
        self, embedding: Float[Array, "batch width"], vector: Float[Array, "batch size"] | None
    ) -> Float[Array, "batch width"]:
        if self.standardization is None:
            if vector is not None:
                raise ValueError("the condition has a vector, but the network none: set `vector`")
            return embedding
        mean, deviation = (
            jnp.asarray(values, jnp.float32)[None]
            for values in (self.standardization.mean, self.standardization.deviation)
        )
        shape = (len(embedding), self.standardization.size)
        vector = jnp.full(shape, jnp.nan) if vector is None else vector
        if vector.shape != shape:
            raise ValueError(f"the conditioning vector must be {shape}: got shape {vector.shape}")
        given = ~jnp.isnan(vector).any(axis=1, keepdims=True)
        h = jnp.where(given, (vector - mean) / deviation, 0.0)
        width = embedding.shape[-1]
        h = product(width, **self.numerics)(nn.swish(product(width, **self.numerics)(h)))
        return embedding + jnp.where(given, h, 0)


def conditioned(
    spec: NetworkSpec, embedding: Float[Array, "batch width"], condition: Condition, **numerics: Any
) -> Float[Array, "batch width"]:
    """Adds the embeddings of label and vector, as submodules of the calling module."""
    embedding = LabelEmbedding(spec.classes)(embedding, condition.label)
    return VectorEmbedding(spec.vector, **numerics)(embedding, condition.vector)
