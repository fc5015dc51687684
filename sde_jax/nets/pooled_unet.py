"""A plain U-Net: max pooling down, transposed convolutions up, the time added before blocks."""

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float
from sde_jax.nets.blocks import GroupNorm, Image, convolution, initializer, product
from sde_jax.nets.condition import Condition
from sde_jax.nets.embedding import interleaved_embedding
from sde_jax.nets.spec import NetworkSpec

__all__ = ["PooledUNet", "PooledUNetSpec"]

GROUPS = 8
EMBEDDING = 100


@dataclass(frozen=True, kw_only=True)
class PooledUNetSpec(NetworkSpec):
    """The shape of a ``PooledUNet``."""

    widths: tuple[int, ...] = (24, 40, 72, 112)
    """Width of each level, from the image's own size down. Each level halves the image; below the
    last one is the middle, of the same width."""

    def __post_init__(self) -> None:
        if not self.widths or any(width < 1 or width % GROUPS for width in self.widths):
            raise ValueError(
                f"`widths` must be one multiple of {GROUPS}, the number of groups that are "
                f"normalized, for each level, such as (16, 32): got {self.widths}"
            )

    def build(self) -> "PooledUNet":
        """The network of this shape."""
        return PooledUNet(self)


class PooledUNet(nn.Module):
    """A U-Net for square images of any size that its levels can halve.

    Called as ``(x, time, condition=None, *, deterministic=True)`` with ``x`` of shape
    ``[batch, size, size, channels]`` and ``time`` of shape ``[batch]``, an index of a noise level
    in about [0, 1000], whole or not; returns float32 like ``x``. There is no dropout. The last
    convolution starts near zero, and so does the output.

    A convolution; level by level down a block, which is kept, and the largest of two by two pixels;
    a block in the middle; level by level up a transposed convolution, in front of the block that
    was kept, and a block; a convolution.

    Attributes:
      spec: the shape of the network.
      dtype: type of the computation; parameters and output are float32.
      precision: precision of every product; None follows ``jax.default_matmul_precision``.

    Raises:
      ValueError: if ``x`` is not square or cannot be halved so often, or there is a condition.
    """

    spec: PooledUNetSpec
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(
        self,
        x: Image,
        time: Float[Array, "batch"],
        condition: Condition | None = None,
        *,
        deterministic: bool = True,
    ) -> Image:
        widths, numerics = self.spec.widths, (self.dtype, self.precision)
        check_input(x, condition, len(widths))
        embedding = interleaved_embedding(time, EMBEDDING)
        h, skips = convolution(widths[0], *numerics)(x), []
        for width in widths:
            skips.append(PooledBlock(width, *numerics)(h, embedding))
            h = pool(skips[-1])
        h = PooledBlock(widths[-1], *numerics)(h, embedding)
        for width in reversed(widths):
            h = TransposedConvolution(width, *numerics)(h)
            h = jnp.concatenate([h, skips.pop()], axis=-1)
            h = PooledBlock(width, *numerics)(h, embedding)
        return convolution(x.shape[-1], *numerics, scale=0.0)(h).astype(jnp.float32)


class PooledBlock(nn.Module):
    """``h = norm(x + time_1(swish(time_0(embedding))))``, then twice ``h = swish(conv(h))``.

    Of what the time adds, normalization takes out the mean over the channels of a group.
    """

    features: int
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(self, x: Image, embedding: Float[Array, "batch width"]) -> Image:
        numerics = (self.dtype, self.precision)
        time = nn.swish(product(x.shape[-1], *numerics, name="time_0")(embedding))
        time = product(x.shape[-1], *numerics, name="time_1")(time)
        h = GroupNorm(GROUPS, dtype=self.dtype)(x + time[:, None, None, :])
        for _ in range(2):
            h = nn.swish(convolution(self.features, *numerics)(h))
        return h


class TransposedConvolution(nn.Module):
    """The transposed convolution of a 2x2 kernel with stride 2: every pixel becomes two by two.

    Written as the products that it consists of, whose gradients are faster on CPU.
    """

    features: int
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(self, x: Image) -> Image:
        batch, height, width, channels = x.shape
        kernel = self.param("kernel", initializer(4.0), (2, 2, channels, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        h = jnp.einsum("bijc,uvcd->biujvd", x, kernel, precision=self.precision)
        return h.reshape(batch, 2 * height, 2 * width, -1) + bias[None, None, None, :]


def pool(x: Image) -> Image:
    """The largest of two by two pixels."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def check_input(x: Image, condition: Condition | None, levels: int) -> None:
    """Refuses what cannot be halved so often, and what the network cannot be told."""
    if x.ndim != 4 or x.shape[1] != x.shape[2] or x.shape[1] % 2**levels:
        raise ValueError(
            f"images must be square, [batch, size, size, channels], and {2**levels} must divide "
            f"their size, which {levels} levels halve {levels} times: got shape {x.shape}. Pad "
            "them or use fewer `widths`."
        )
    if any(part is not None for part in condition or ()):
        raise ValueError("a pooled U-Net is told the time alone: got a condition")
