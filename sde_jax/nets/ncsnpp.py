"""The U-Net of Song et al. 2021 (appendix H), in the setting that they call DDPM++."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float, Int
from sde_jax.nets.blocks import (
    AttentionBlock,
    GroupNorm,
    Image,
    ResidualBlock,
    convolution,
    initializer,
)
from sde_jax.nets.condition import Condition
from sde_jax.nets.embedding import GaussianFourierFeatures, LabelEmbedding, positional_embedding
from sde_jax.nets.resampling import downsample_mean, upsample_nearest
from sde_jax.nets.spec import NetworkSpec

__all__ = ["NCSNpp", "NCSNppSpec"]

Block = Callable[..., Image]


@dataclass(frozen=True, kw_only=True)
class NCSNppSpec(NetworkSpec):
    """The shape of an ``NCSNpp`` network; the defaults are DDPM++ as published for CIFAR-10."""

    channels: int = 128
    """Width of the first level; the other widths are multiples of it."""
    multipliers: tuple[int, ...] = (1, 2, 2, 2)
    """Width of each level in units of `channels`; each further level halves the image."""
    blocks_per_level: int = 4
    """Residual blocks of each level on the way down; on the way up there is one more."""
    attention_resolutions: tuple[int, ...] = (16,)
    """Image sizes at which blocks attend; the middle always does. Sizes that do not occur are
    passed over."""
    dropout: float = 0.1
    """Probability of dropping an activation inside a residual block, in training."""
    embedding: Literal["positional", "fourier"] = "positional"
    """How the time is embedded: sines of fixed frequencies, for times in about [0, 1000], or of
    random ones, for the logarithm of a noise level."""
    fourier_scale: float = 16.0
    """Standard deviation of the random frequencies."""
    skip_rescale: bool = True
    """Divide the sum of a block and its shortcut by sqrt(2)."""
    classes: int | None = None
    """Number of classes, for a network that is told the label."""

    def __post_init__(self) -> None:
        if self.channels < 4:
            raise ValueError(f"`channels` must be at least 4: got {self.channels}")
        if not self.multipliers or min(self.multipliers) < 1:
            raise ValueError(
                "`multipliers` must be one positive integer for each level, such as (1, 2, 2): "
                f"got {self.multipliers}"
            )
        if self.blocks_per_level < 1:
            raise ValueError(f"`blocks_per_level` must be at least 1: got {self.blocks_per_level}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1): got {self.dropout}")
        if self.embedding not in ("positional", "fourier"):
            raise ValueError(
                f"`embedding` must be 'positional' or 'fourier': got {self.embedding!r}"
            )
        if self.fourier_scale <= 0:
            raise ValueError(f"`fourier_scale` must be positive: got {self.fourier_scale}")
        if self.classes is not None and self.classes < 1:
            raise ValueError(
                f"`classes` must be at least 1, or None for no label: got {self.classes}"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each level, from the image's own size down."""
        return tuple(self.channels * multiplier for multiplier in self.multipliers)

    def build(self) -> "NCSNpp":
        """The network of this shape."""
        return NCSNpp(self)


class NCSNpp(nn.Module):
    """A time-conditional U-Net for square images of any size that its levels can halve.

    Called as ``(x, time, condition=None, *, deterministic=True)`` with ``x`` of shape
    ``[batch, size, size, channels]`` and ``time`` of shape ``[batch]`` in the units of the
    embedding; returns float32 like ``x``. Dropout needs ``rngs={"dropout": key}``. The last
    convolution starts near zero, and so does the output.

    Submodules are named by class and by order of construction, which is the order of the calls
    and of the published ``all_modules`` list: the k-th convolution, residual block, attention
    block, dense layer or normalization at the top is Conv_k, ResidualBlock_k, AttentionBlock_k,
    Dense_k, GroupNorm_k. The order: [Fourier features], two dense layers, [label], first
    convolution; level by level down: (block, [attention]) ``blocks_per_level`` times, halving
    block unless last; middle: block, attention, block; level by level up:
    ``blocks_per_level + 1`` blocks, [attention], doubling block unless last; normalization,
    last convolution.

    Attributes:
      spec: the shape of the network.
      dtype: type of the computation; parameters and output are float32.
      precision: precision of every product; None follows ``jax.default_matmul_precision``.
    """

    spec: NCSNppSpec
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
        condition = Condition() if condition is None else condition
        self._check(x, condition)
        embedding = self._embed(time, condition.label)
        inputs = x if condition.image is None else jnp.concatenate([x, condition.image], axis=-1)

        def block(h: Image, width: int, resample: Callable[[Image], Image] | None = None) -> Image:
            layer = ResidualBlock(
                width,
                resample,
                dropout=self.spec.dropout,
                skip_rescale=self.spec.skip_rescale,
                dtype=self.dtype,
                precision=self.precision,
            )
            return layer(h, embedding, deterministic=deterministic)

        skips = self._down(self._convolution(inputs, self.spec.channels), block)
        h = self._middle(skips[-1], block)
        h = self._up(h, skips, block)
        h = nn.swish(GroupNorm(self.dtype)(h))
        return self._convolution(h, x.shape[-1], scale=0.0).astype(jnp.float32)

    @nn.nowrap
    def _down(self, h: Image, block: Block) -> list[Image]:
        skips = [h]
        for level, width in enumerate(self.spec.widths):
            if level > 0:
                h = block(h, h.shape[-1], downsample_mean)
                skips.append(h)
            for _ in range(self.spec.blocks_per_level):
                h = self._attend_if_listed(block(h, width))
                skips.append(h)
        return skips

    @nn.nowrap
    def _middle(self, h: Image, block: Block) -> Image:
        h = self._attend(block(h, h.shape[-1]))
        return block(h, h.shape[-1])

    @nn.nowrap
    def _up(self, h: Image, skips: list[Image], block: Block) -> Image:
        for level, width in reversed(list(enumerate(self.spec.widths))):
            for _ in range(self.spec.blocks_per_level + 1):
                h = block(jnp.concatenate([h, skips.pop()], axis=-1), width)
            h = self._attend_if_listed(h)
            if level > 0:
                h = block(h, width, upsample_nearest)
        return h

    @nn.nowrap
    def _embed(self, time: Float[Array, "batch"], label: Int[Array, "batch"] | None) -> Array:
        """The vector that every block is given, activated."""
        spec, width = self.spec, 4 * self.spec.channels
        if spec.embedding == "fourier":
            h = GaussianFourierFeatures(spec.channels, spec.fourier_scale)(time)
        else:
            h = positional_embedding(time, spec.channels)
        dense = functools.partial(
            nn.Dense, width, kernel_init=initializer(), dtype=self.dtype, precision=self.precision
        )
        h = nn.swish(dense()(h))
        h = dense()(h)
        return nn.swish(LabelEmbedding(spec.classes)(h, label))

    @nn.nowrap
    def _convolution(self, x: Image, features: int, scale: float = 1.0) -> Image:
        return convolution(features, self.dtype, self.precision, scale)(x)

    @nn.nowrap
    def _attend(self, h: Image) -> Image:
        return AttentionBlock(self.spec.skip_rescale, self.dtype, self.precision)(h)

    @nn.nowrap
    def _attend_if_listed(self, h: Image) -> Image:
        return self._attend(h) if h.shape[1] in self.spec.attention_resolutions else h

    @nn.nowrap
    def _check(self, x: Image, condition: Condition) -> None:
        if x.ndim != 4 or x.shape[1] != x.shape[2]:
            raise ValueError(
                f"images must be square, [batch, size, size, channels]: got shape {x.shape}"
            )
        levels, factor = len(self.spec.multipliers), 2 ** (len(self.spec.multipliers) - 1)
        if x.shape[1] % factor:
            raise ValueError(
                f"image size {x.shape[1]} must be divisible by {factor}: {levels} levels halve it "
                f"{levels - 1} times. Pad the images or use fewer `multipliers`."
            )
        if condition.image is not None and condition.image.shape[:3] != x.shape[:3]:
            raise ValueError(
                "the conditioning image must have the batch, height and width of x: got shapes "
                f"{condition.image.shape} and {x.shape}"
            )
