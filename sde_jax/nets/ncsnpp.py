"""NCSN++, the U-Net of Song et al. 2021 (appendix H); its default settings are DDPM++."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import flax.linen as nn
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PerExample, Signal, expand_like
from sde_jax.nets.blocks import (
    ACTIVATIONS,
    AttentionBlock,
    Combine,
    GroupNorm,
    ResidualBlock,
    add_shortcut,
    convolve,
)
from sde_jax.nets.condition import Condition
from sde_jax.nets.embedding import GaussianFourierFeatures, positional_embedding
from sde_jax.nets.resampling import Downsample, Upsample, downsample, upsample
from sde_jax.nets.spec import NetworkModule
from sde_jax.nets.unet import UNetSpec, crop, time_layers, unet_input
from sde_jax.validation import POSITIVE, Only, Rule, at_least, each_at_most

Block = Callable[..., Signal]
Taps = Annotated[
    tuple[int, ...] | None,
    Rule("be None or have a sum, such as (1, 3, 3, 1)", lambda taps: sum(taps) != 0),
    each_at_most(2**16),
]

_FOURIER = Only("`embedding` is fourier", lambda spec: spec.embedding == "fourier")
_INPUT_SKIP = Only(
    "`progressive_input` is input_skip", lambda spec: spec.progressive_input == "input_skip"
)


@dataclass(frozen=True, kw_only=True)
class NCSNppSpec(UNetSpec):
    """Hyperparameters of an ``NCSNpp`` network; the defaults are the published DDPM++ for
    CIFAR-10."""

    embedding: Literal["positional", "fourier"] = "positional"
    """Time embedding: positional, for times in about [0, 1000], or random Fourier features, for the
    logarithm of a noise level."""
    fourier_scale: Annotated[float, POSITIVE, _FOURIER] = 16.0
    """Standard deviation of the random frequencies."""
    block: Literal["biggan", "ddpm"] = "biggan"
    """Resampling inside residual blocks (biggan) or by separate layers between them (ddpm)."""
    resampling_filter: Taps = None
    """Taps of the FIR filter used in resampling, such as (1, 3, 3, 1); None averages and repeats
    pixels."""
    progressive_input: Literal["none", "input_skip", "residual"] = "none"
    """Input pyramid of each level: none, a dense layer over channels of the downsampled input
    (input_skip), or a convolved pyramid that is summed with the features (residual)."""
    progressive_output: Literal["none", "output_skip", "residual"] = "none"
    """Output pyramid: none, the sum of one image per level (output_skip), or a convolved feature
    pyramid (residual)."""
    combine: Annotated[Literal["sum", "cat"], _INPUT_SKIP] = "sum"
    """Combination of the input_skip pyramid with the features: sum or concatenation."""
    skip_rescale: bool = True
    """Divide the sum of a block and its shortcut by sqrt(2)."""
    init_scale: Annotated[float, at_least(0)] = 0.0
    """Initialization scale of the last layer of each block and of the output."""

    def build(self) -> "NCSNpp":
        """Builds the network."""
        return NCSNpp(self)


class NCSNpp(NetworkModule):
    """A U-Net for series, images or volumes of any size.

    Called as ``(x, time, condition=None, *, deterministic=True)`` with ``x`` of shape
    ``[batch, *axes, channels]`` and ``time`` of shape ``[batch]`` in the units of the
    embedding; returns float32 like ``x``. Sizes that the levels cannot halve are padded with zeros
    at the end, and the output is cropped. Dropout needs ``rngs={"dropout": key}``. If `init_scale`
    is 0, the initial output is near zero.

    Submodules are named by class and by order of construction, which is the order of the calls and
    of the published ``all_modules`` list. The k-th layer of a class at the top level is Dense_k,
    Conv_k, ResidualBlock_k, AttentionBlock_k, Downsample_k, Upsample_k, Combine_k, GroupNorm_k,
    GaussianFourierFeatures_k. The order is: [Fourier features], two dense layers, [label], first
    convolution; level by level down: unless first, halving block or Downsample, and [Combine, or
    Downsample of the input]; (block, [attention]) ``blocks_per_level`` times; middle: block,
    attention, block; level by level up: ``blocks_per_level + 1`` blocks, [attention] after the last
    or every one, [normalization and convolution, or Upsample of the output], doubling block or
    Upsample unless last; normalization and last convolution, unless the output is a pyramid of
    images.
    """

    spec: UNetSpec

    @nn.compact
    def __call__(
        self,
        x: Signal,
        time: PerExample,
        condition: Condition | None = None,
        *,
        deterministic: bool = True,
    ) -> Signal:
        spec = self.spec
        condition = Condition() if condition is None else condition
        inputs = unet_input(spec, x, condition)
        embedding = time_layers(spec, self._features(time), condition, **self.numerics)

        def block(
            h: Signal, width: int, resample: Callable[[Signal], Signal] | None = None
        ) -> Signal:
            layer = ResidualBlock(
                width,
                resample,
                dropout=spec.dropout,
                skip_rescale=spec.skip_rescale,
                activation=ACTIVATIONS[spec.activation],
                groups=spec.groups,
                epsilon=spec.norm_epsilon,
                init_scale=spec.init_scale,
                shortcut_scale=1.0 if spec.block == "biggan" else 0.1,
                rematerialize=spec.rematerialize,
                **self.numerics,
            )
            return layer(h, embedding, deterministic=deterministic)

        skips = self._down(inputs, block)
        width = spec.widths[-1]
        h = block(self._attend(block(skips[-1], width)), width)
        output = crop(self._up(h, skips, block, x.shape[-1]), x.shape[1:])
        if spec.scale_by_sigma:
            output = output / expand_like(spec.noise_level(time), output)
        return output

    @nn.nowrap
    def _down(self, inputs: Signal, block: Block) -> list[Signal]:
        spec = self.spec
        skips, pyramid = [convolve(inputs, spec.channels, **self.numerics)], inputs
        for level, width in enumerate(spec.widths):
            if level > 0:
                h = self._resample(skips[-1], block, downsample, self._downsample)
                h, pyramid = self._join_input(h, pyramid)
                skips.append(h)
            for _ in range(spec.blocks_per_level):
                skips.append(self._attend_if_listed(block(skips[-1], width)))
        return skips

    @nn.nowrap
    def _up(self, h: Signal, skips: list[Signal], block: Block, channels: int) -> Signal:
        pyramid = None
        for level, width in reversed(list(enumerate(self.spec.widths))):
            for _ in range(self.spec.blocks_per_level + 1):
                h = block(jnp.concatenate([h, skips.pop()], axis=-1), width)
                h = self._attend_if_listed(h) if self.spec.attending_up == "every" else h
            h = self._attend_if_listed(h) if self.spec.attending_up == "last" else h
            h, pyramid = self._join_output(h, pyramid, channels)
            if level > 0:
                h = self._resample(h, block, upsample, self._upsample)
        if pyramid is None or self.spec.progressive_output == "residual":
            return self._image(h, channels)
        return pyramid

    @nn.nowrap
    def _join_input(self, h: Signal, pyramid: Signal) -> tuple[Signal, Signal]:
        """Returns the features joined with the halved input pyramid, and that pyramid."""
        match self.spec.progressive_input:
            case "input_skip":
                pyramid = downsample(pyramid, self.spec.resampling_filter, self.precision)
                return Combine(self.spec.combine, **self.numerics)(pyramid, h), pyramid
            case "residual":
                h = add_shortcut(self._downsample(pyramid, h.shape[-1]), h, self.spec.skip_rescale)
                return h, h
        return h, pyramid

    @nn.nowrap
    def _join_output(
        self, h: Signal, pyramid: Signal | None, channels: int
    ) -> tuple[Signal, Signal | None]:
        """Returns the features, and the doubled output pyramid joined with them."""
        spec = self.spec
        match spec.progressive_output:
            case "output_skip":
                image = self._image(h, channels)
                if pyramid is None:
                    return h, image
                return h, upsample(pyramid, spec.resampling_filter, self.precision) + image
            case "residual":
                if pyramid is None:
                    return h, self._project(h, h.shape[-1])
                h = add_shortcut(self._upsample(pyramid, h.shape[-1]), h, spec.skip_rescale)
                return h, h
        return h, None

    @nn.nowrap
    def _resample(self, h: Signal, block: Block, plain: Block, convolve: Block) -> Signal:
        spec, width = self.spec, h.shape[-1]
        resample = functools.partial(plain, taps=spec.resampling_filter, precision=self.precision)
        if spec.block == "biggan":
            return block(h, width, resample)
        return convolve(h, width) if spec.resample_with_convolution else resample(h)

    @nn.nowrap
    def _downsample(self, h: Signal, width: int) -> Signal:
        taps, every_side = self.spec.resampling_filter, self.spec.pad_every_side
        return Downsample(width, taps, every_side, **self.numerics)(h)

    @nn.nowrap
    def _upsample(self, h: Signal, width: int) -> Signal:
        return Upsample(width, self.spec.resampling_filter, **self.numerics)(h)

    @nn.nowrap
    def _project(self, h: Signal, features: int, scale: float = 1.0) -> Signal:
        norm = GroupNorm(self.spec.groups, self.spec.norm_epsilon, self.dtype)
        h = ACTIVATIONS[self.spec.activation](norm(h))
        return convolve(h, features, **self.numerics, scale=scale)

    @nn.nowrap
    def _image(self, h: Signal, channels: int) -> Signal:
        return self._project(h, channels, self.spec.init_scale).astype(jnp.float32)

    @nn.nowrap
    def _attend(self, h: Signal) -> Signal:
        spec = self.spec
        norm = (spec.groups, spec.norm_epsilon, spec.head_channels)
        layer = AttentionBlock(spec.skip_rescale, *norm, spec.init_scale, **self.numerics)
        return layer(h)

    @nn.nowrap
    def _attend_if_listed(self, h: Signal) -> Signal:
        return self._attend(h) if max(h.shape[1:-1]) in self.spec.attention_resolutions else h

    @nn.nowrap
    def _features(self, time: PerExample) -> Float[Array, "batch features"]:
        if self.spec.embedding == "fourier":
            return GaussianFourierFeatures(self.spec.channels, self.spec.fourier_scale)(time)
        return positional_embedding(time, self.spec.channels, self.spec.max_period)
