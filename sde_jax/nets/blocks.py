"""The layers of DDPM++ and NCSN++ (Song et al. 2021, appendix H), on ``[batch, h, w, channels]``.

Submodules are named by class and by order of construction, which is the order of the published
code: in ``ResidualBlock`` GroupNorm_0, Conv_0, Dense_0, GroupNorm_1, Conv_1 and, for the
shortcut, Dense_1; in ``AttentionBlock`` GroupNorm_0 and Dense_0 to Dense_3 (query, key, value,
output).
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float

__all__ = ["AttentionBlock", "GroupNorm", "ResidualBlock", "convolution", "initializer"]

Image = Float[Array, "batch height width channels"]


def initializer(scale: float = 1.0) -> nn.initializers.Initializer:
    """Uniform initialization of variance ``scale / fan_avg``; 0 stands for 1e-10."""
    return nn.initializers.variance_scaling(scale or 1e-10, "fan_avg", "uniform")


def convolution(
    features: int, dtype: DTypeLike, precision: PrecisionLike, scale: float = 1.0
) -> nn.Conv:
    """A 3x3 convolution that keeps height and width."""
    return nn.Conv(
        features, (3, 3), kernel_init=initializer(scale), dtype=dtype, precision=precision
    )


class GroupNorm(nn.Module):
    """Normalizes ``min(channels // 4, 32)`` groups of channels, then scales and shifts channels.

    Mean and variance, of a group's channels at all pixels, are computed in float32: first per
    channel, then over the channels of a group, which XLA does faster than both at once.

    Attributes:
      dtype: type of the output; parameters are float32.

    Raises:
      ValueError: if the channels do not divide into that many groups.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Image) -> Image:
        batch, channels = x.shape[0], x.shape[-1]
        groups = min(channels // 4, 32)
        if groups == 0 or channels % groups:
            raise ValueError(
                f"group normalization cannot divide {channels} channels into {groups} groups: "
                "use a multiple of 4, and above 128 of 32"
            )
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))

        def group_mean(values: Image) -> Image:
            mean = values.mean(axis=(1, 2)).reshape(batch, groups, -1).mean(axis=-1)
            return jnp.repeat(mean, channels // groups, axis=-1)[:, None, None, :]

        x = x.astype(jnp.float32)
        x = x - group_mean(x)
        factor = jax.lax.rsqrt(group_mean(x**2) + 1e-6) * scale[None, None, None, :]
        return (x * factor + bias[None, None, None, :]).astype(self.dtype)


class ResidualBlock(nn.Module):
    """A residual block of two convolutions that may also resample (the BigGAN kind).

    ``h = conv(resample(swish(norm(x)))) + dense(embedding)``,
    ``h = conv(dropout(swish(norm(h))))``, returns ``(shortcut(resample(x)) + h) / sqrt(2)``;
    the shortcut is a product over channels if the width changes or the image is resampled.

    Attributes:
      features: width of the output.
      resample: doubles or halves height and width, or None to keep them.
      dropout: probability of dropping an activation before the second convolution.
      skip_rescale: divide the sum by sqrt(2).
      dtype: type of the computation; parameters are float32.
      precision: precision of every product.
    """

    features: int
    resample: Callable[[Image], Image] | None = None
    dropout: float = 0.0
    skip_rescale: bool = True
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(
        self, x: Image, embedding: Float[Array, "batch width"], *, deterministic: bool = True
    ) -> Image:
        h = nn.swish(GroupNorm(self.dtype)(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = convolution(self.features, self.dtype, self.precision)(h)
        h = h + self._dense()(embedding)[:, None, None, :]
        h = nn.swish(GroupNorm(self.dtype)(h))
        h = nn.Dropout(self.dropout)(h, deterministic=deterministic)
        h = convolution(self.features, self.dtype, self.precision, scale=0.0)(h)
        if self.resample is not None or x.shape[-1] != self.features:
            x = self._dense()(x)
        return (x + h) / math.sqrt(2) if self.skip_rescale else x + h

    @nn.nowrap
    def _dense(self) -> nn.Dense:
        return nn.Dense(
            self.features, kernel_init=initializer(), dtype=self.dtype, precision=self.precision
        )


class AttentionBlock(nn.Module):
    """Single-head attention of every pixel to every pixel, with a shortcut.

    ``softmax(q k^T / sqrt(channels)) v`` of the normalized input, the softmax in float32.

    Attributes:
      skip_rescale: divide the sum by sqrt(2).
      dtype: type of the computation; parameters are float32.
      precision: precision of every product.
    """

    skip_rescale: bool = True
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(self, x: Image) -> Image:
        batch, height, width, channels = x.shape
        h = GroupNorm(self.dtype)(x).reshape(batch, height * width, channels)
        query, key, value = (self._dense(channels, scale=0.1)(h) for _ in range(3))
        logits = jnp.einsum(
            "bqc,bkc->bqk",
            query,
            key,
            precision=self.precision,
            preferred_element_type=jnp.float32,
        )
        weights = nn.softmax(logits / math.sqrt(channels)).astype(self.dtype)
        h = jnp.einsum("bqk,bkc->bqc", weights, value, precision=self.precision)
        h = self._dense(channels, scale=0.0)(h).reshape(x.shape)
        return (x + h) / math.sqrt(2) if self.skip_rescale else x + h

    @nn.nowrap
    def _dense(self, features: int, scale: float) -> nn.Dense:
        return nn.Dense(
            features, kernel_init=initializer(scale), dtype=self.dtype, precision=self.precision
        )
