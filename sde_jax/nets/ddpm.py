"""The U-Net of Ho et al. 2020 (arXiv:2006.11239), as trained by Song et al. 2021."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float, expand_like
from sde_jax.nets.blocks import AttentionBlock, GroupNorm, Image, ResidualBlock, convolution
from sde_jax.nets.condition import Condition
from sde_jax.nets.embedding import positional_embedding
from sde_jax.nets.resampling import Downsample, Upsample, downsample, upsample
from sde_jax.nets.unet import UNetSpec, require_one_of, time_layers, unet_input

__all__ = ["DDPM", "DDPMSpec"]

Block = Callable[[Image, int], Image]

GROUPS = 32


@dataclass(frozen=True, kw_only=True)
class DDPMSpec(UNetSpec):
    """Hyperparameters of a ``DDPM`` network; the defaults are those published for CIFAR-10."""

    blocks_per_level: int = 2
    """Residual blocks per level on the way down; the way up has one more."""
    attending_up: Literal["last", "every"] = "last"
    """Blocks with attention on the way up, at attending levels: the last one, as in Song et al., or
    every one, as in Ho et al. On the way down every block attends."""
    head_channels: int | None = None
    """Width of an attention head, which must divide that of its level; None for one head."""
    pad_every_side: bool = False
    """Padding of halving convolutions: zeros on every side, or, as published, only below and on the
    right."""
    max_period: float = 10_000.0
    """The slowest component of the time embedding is ``sin(time / max_period)``."""
    norm_epsilon: float = 1e-6
    """Epsilon of the normalizations."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("attending_up", self.attending_up, "last", "every")
        if self.head_channels is not None and self.head_channels < 1:
            raise ValueError(
                "`head_channels` must be at least 1, or None for one head: got "
                f"{self.head_channels}"
            )
        for field in ("max_period", "norm_epsilon"):
            if not getattr(self, field) > 0:
                raise ValueError(f"`{field}` must be positive: got {getattr(self, field)}")
        if self.channels % GROUPS:
            raise ValueError(
                f"`channels` must be a multiple of {GROUPS}, the number of normalization groups: "
                f"got {self.channels}"
            )

    def build(self) -> "DDPM":
        """Builds the network."""
        return DDPM(self)


class DDPM(nn.Module):
    """A U-Net for square images of any size that its levels can halve.

    Called as ``(x, time, condition=None, *, deterministic=True)`` with ``x`` of shape
    ``[batch, size, size, channels]`` and ``time`` of shape ``[batch]`` in about [0, 1000]; returns
    float32 like ``x``. Dropout needs ``rngs={"dropout": key}``. The last convolution is initialized
    near zero, so the initial output is near zero.

    Submodules are named by class and by order of construction, which is the order of the calls and
    of the published ``all_modules`` list. The k-th layer of a class at the top level is Dense_k,
    Conv_k, ResidualBlock_k, AttentionBlock_k, Downsample_k, Upsample_k, GroupNorm_k. The order is:
    two dense layers, [label], first convolution; level by level down: Downsample unless first,
    (block, [attention]) ``blocks_per_level`` times; middle: block, attention, block; level by level
    up: ``blocks_per_level + 1`` blocks, [attention] after the last or every one, Upsample unless
    last; normalization, last convolution.

    Attributes:
      spec: hyperparameters of the network.
      dtype: type of the computation; parameters and output are float32.
      precision: precision of every product; None follows ``jax.default_matmul_precision``.
    """

    spec: DDPMSpec
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
        spec, numerics = self.spec, (self.dtype, self.precision)
        condition = Condition() if condition is None else condition
        inputs = unet_input(spec, x, condition)
        features = positional_embedding(time, spec.channels, spec.max_period)
        embedding = time_layers(spec, features, condition.label, *numerics)

        def block(h: Image, width: int) -> Image:
            layer = ResidualBlock(
                width,
                dropout=spec.dropout,
                skip_rescale=False,
                activation=spec.activate,
                groups=GROUPS,
                epsilon=spec.norm_epsilon,
                shortcut_scale=0.1,
                rematerialize=spec.rematerialize,
                dtype=self.dtype,
                precision=self.precision,
            )
            return layer(h, embedding, deterministic=deterministic)

        skips = self._down(convolution(spec.channels, *numerics)(inputs), block)
        h = self._middle(skips[-1], block)
        h = self._up(h, skips, block)
        h = spec.activate(GroupNorm(GROUPS, spec.norm_epsilon, self.dtype)(h))
        output = convolution(x.shape[-1], *numerics, scale=0.0)(h).astype(jnp.float32)
        if spec.scale_by_sigma:
            output = output / expand_like(spec.noise_level(time), output)
        return output

    @nn.nowrap
    def _down(self, h: Image, block: Block) -> list[Image]:
        spec, skips = self.spec, [h]
        for level, width in enumerate(spec.widths):
            if level > 0:
                skips.append(self._halve(skips[-1]))
            for _ in range(spec.blocks_per_level):
                skips.append(self._attend_if_listed(block(skips[-1], width)))
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
                h = self._attend_if_listed(h) if self.spec.attending_up == "every" else h
            h = self._attend_if_listed(h) if self.spec.attending_up == "last" else h
            if level > 0:
                h = self._double(h)
        return h

    @nn.nowrap
    def _halve(self, h: Image) -> Image:
        if not self.spec.resample_with_convolution:
            return downsample(h)
        layer = Downsample(
            h.shape[-1],
            pad_every_side=self.spec.pad_every_side,
            dtype=self.dtype,
            precision=self.precision,
        )
        return layer(h)

    @nn.nowrap
    def _double(self, h: Image) -> Image:
        if not self.spec.resample_with_convolution:
            return upsample(h)
        return Upsample(h.shape[-1], dtype=self.dtype, precision=self.precision)(h)

    @nn.nowrap
    def _attend(self, h: Image) -> Image:
        layer = AttentionBlock(
            skip_rescale=False,
            groups=GROUPS,
            epsilon=self.spec.norm_epsilon,
            head_channels=self.spec.head_channels,
            dtype=self.dtype,
            precision=self.precision,
        )
        return layer(h)

    @nn.nowrap
    def _attend_if_listed(self, h: Image) -> Image:
        return self._attend(h) if h.shape[1] in self.spec.attention_resolutions else h
