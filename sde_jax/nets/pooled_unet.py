"""A plain U-Net: max pooling down, transposed convolutions up, time added before blocks."""

from dataclasses import dataclass
from typing import Annotated

import flax.linen as nn
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PerExample, Signal
from sde_jax.nets.blocks import GroupNorm, Layer, convolve, initializer, over_pixels, product
from sde_jax.nets.condition import Condition
from sde_jax.nets.embedding import interleaved_embedding
from sde_jax.nets.resampling import block_axes, by_blocks
from sde_jax.nets.spec import NetworkModule, NetworkSpec
from sde_jax.nets.unet import Axes, crop, pad, padded_shape
from sde_jax.validation import Rule, each_at_most

GROUPS = 8
EMBEDDING = 100
_WIDTHS = Rule(
    f"be one multiple of {GROUPS}, the number of normalization groups, per level",
    lambda widths: widths and all(width >= 1 and width % GROUPS == 0 for width in widths),
)


@dataclass(frozen=True, kw_only=True)
class PooledUNetSpec(NetworkSpec):
    """Hyperparameters of a ``PooledUNet``."""

    widths: Annotated[tuple[int, ...], _WIDTHS, each_at_most(2**16)] = (24, 40, 72, 112)
    """Width of each level, from full resolution down. Each level halves every axis. The middle has
    the width of the last level."""
    axes: Axes = 2
    """Number of spatial axes of the data: 1 for series, 2 for images, 3 for volumes."""

    def padded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """See `NetworkSpec.padded`."""
        return padded_shape(shape, self.axes, len(self.widths), "widths")

    def build(self) -> "PooledUNet":
        """Builds the network."""
        return PooledUNet(self)


class PooledUNet(NetworkModule):
    """A U-Net for series, images or volumes of any size.

    Called as ``(x, time, condition=None, *, deterministic=True)`` with ``x`` of shape
    ``[batch, *axes, channels]`` and ``time`` of shape ``[batch]``, a noise-level index in about
    [0, 1000], integer or not; returns float32 like ``x``. There is no dropout. The last convolution
    is initialized near zero, so the initial output is near zero. Sizes that the levels cannot halve
    are padded with zeros at the end, and the output is cropped.

    The layers are: a convolution; per level down, a block and max pooling by two; a middle block;
    per level up, a transposed convolution, concatenation with the skip connection, and a block; a
    convolution.

    Raises:
      ValueError: if ``x`` has another number of axes or cannot be halved so often, or there is a
        condition.
    """

    spec: PooledUNetSpec

    @nn.compact
    def __call__(
        self,
        x: Signal,
        time: PerExample,
        condition: Condition | None = None,
        *,
        deterministic: bool = True,
    ) -> Signal:
        widths, numerics = self.spec.widths, self.numerics
        shape = self.spec.padded(x.shape[1:])
        if any(part is not None for part in condition or ()):
            raise ValueError("a pooled U-Net takes no condition: got one")
        embedding = interleaved_embedding(time, EMBEDDING)
        h, skips = convolve(pad(x, shape), widths[0], **numerics), []
        for width in widths:
            skips.append(PooledBlock(width, **numerics)(h, embedding))
            h = pool(skips[-1])
        h = PooledBlock(widths[-1], **numerics)(h, embedding)
        for width in reversed(widths):
            h = TransposedConvolution(width, **numerics)(h)
            h = jnp.concatenate([h, skips.pop()], axis=-1)
            h = PooledBlock(width, **numerics)(h, embedding)
        h = convolve(h, x.shape[-1], **numerics, scale=0.0)
        return crop(h, x.shape[1:]).astype(jnp.float32)


class PooledBlock(Layer):
    """``h = norm(x + time_1(swish(time_0(embedding))))``, then twice ``h = swish(conv(h))``.

    The normalization removes the mean of the time term over the channels of each group.
    """

    features: int

    @nn.compact
    def __call__(self, x: Signal, embedding: Float[Array, "batch width"]) -> Signal:
        numerics = self.numerics
        time = nn.swish(product(x.shape[-1], **numerics, name="time_0")(embedding))
        time = product(x.shape[-1], **numerics, name="time_1")(time)
        h = GroupNorm(GROUPS, dtype=self.dtype)(x + over_pixels(time, x))
        for _ in range(2):
            h = nn.swish(convolve(h, self.features, **numerics))
        return h


class TransposedConvolution(Layer):
    """A transposed convolution of kernel size 2 and stride 2, which doubles every axis.

    It is computed as a matrix product, whose gradients are faster on CPU.
    """

    features: int

    @nn.compact
    def __call__(self, x: Signal) -> Signal:
        batch, *sizes, channels = x.shape
        axes = len(sizes)
        shape = (*[2] * axes, channels, self.features)
        kernel = self.param("kernel", initializer(2.0**axes), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        old, new = "hij"[-axes:], "tuv"[-axes:]
        pairs = "".join(map("".join, zip(old, new, strict=True)))
        h = jnp.einsum(f"b{old}c,{new}cd->b{pairs}d", x, kernel, precision=self.precision)
        return h.reshape(batch, *(2 * size for size in sizes), -1) + over_pixels(bias, x)


def pool(x: Signal) -> Signal:
    """Halves every axis by the maximum over blocks of two pixels a side."""
    return by_blocks(x).max(axis=block_axes(x))
