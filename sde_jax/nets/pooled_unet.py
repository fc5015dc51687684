"""A plain U-Net: max pooling down, transposed convolutions up, time added before blocks."""

from dataclasses import dataclass
from typing import Annotated

import flax.linen as nn
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Image, PerExample
from sde_jax.nets.blocks import GroupNorm, Layer, convolution, initializer, product
from sde_jax.nets.condition import Condition
from sde_jax.nets.embedding import interleaved_embedding
from sde_jax.nets.spec import NetworkModule, NetworkSpec
from sde_jax.nets.unet import check_size
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
    """Width of each level, from full resolution down. Each level halves the image. The middle has
    the width of the last level."""

    def build(self) -> "PooledUNet":
        """Builds the network."""
        return PooledUNet(self)


class PooledUNet(NetworkModule):
    """A U-Net for square images of any size that its levels can halve.

    Called as ``(x, time, condition=None, *, deterministic=True)`` with ``x`` of shape
    ``[batch, size, size, channels]`` and ``time`` of shape ``[batch]``, a noise-level index in
    about [0, 1000], integer or not; returns float32 like ``x``. There is no dropout. The last
    convolution is initialized near zero, so the initial output is near zero.

    The layers are: a convolution; per level down, a block and 2x2 max pooling; a middle block; per
    level up, a transposed convolution, concatenation with the skip connection, and a block; a
    convolution.

    Raises:
      ValueError: if ``x`` is not square or cannot be halved often enough, or there is a condition.
    """

    spec: PooledUNetSpec

    @nn.compact
    def __call__(
        self,
        x: Image,
        time: PerExample,
        condition: Condition | None = None,
        *,
        deterministic: bool = True,
    ) -> Image:
        widths, numerics = self.spec.widths, self.numerics
        check_size(x, len(widths), len(widths), "widths")
        if any(part is not None for part in condition or ()):
            raise ValueError("a pooled U-Net takes no condition: got one")
        embedding = interleaved_embedding(time, EMBEDDING)
        h, skips = convolution(widths[0], **numerics)(x), []
        for width in widths:
            skips.append(PooledBlock(width, **numerics)(h, embedding))
            h = pool(skips[-1])
        h = PooledBlock(widths[-1], **numerics)(h, embedding)
        for width in reversed(widths):
            h = TransposedConvolution(width, **numerics)(h)
            h = jnp.concatenate([h, skips.pop()], axis=-1)
            h = PooledBlock(width, **numerics)(h, embedding)
        return convolution(x.shape[-1], **numerics, scale=0.0)(h).astype(jnp.float32)


class PooledBlock(Layer):
    """``h = norm(x + time_1(swish(time_0(embedding))))``, then twice ``h = swish(conv(h))``.

    The normalization removes the mean of the time term over the channels of each group.
    """

    features: int

    @nn.compact
    def __call__(self, x: Image, embedding: Float[Array, "batch width"]) -> Image:
        numerics = self.numerics
        time = nn.swish(product(x.shape[-1], **numerics, name="time_0")(embedding))
        time = product(x.shape[-1], **numerics, name="time_1")(time)
        h = GroupNorm(GROUPS, dtype=self.dtype)(x + time[:, None, None, :])
        for _ in range(2):
            h = nn.swish(convolution(self.features, **numerics)(h))
        return h


class TransposedConvolution(Layer):
    """A transposed convolution with a 2x2 kernel and stride 2, which doubles height and width.

    It is computed as a matrix product, whose gradients are faster on CPU.
    """

    features: int

    @nn.compact
    def __call__(self, x: Image) -> Image:
        batch, height, width, channels = x.shape
        shape = (2, 2, channels, self.features)
        kernel = self.param("kernel", initializer(4.0), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        h = jnp.einsum("bijc,uvcd->biujvd", x, kernel, precision=self.precision)
        return h.reshape(batch, 2 * height, 2 * width, -1) + bias[None, None, None, :]


def pool(x: Image) -> Image:
    """Applies 2x2 max pooling."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
