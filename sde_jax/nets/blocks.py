"""Layers of DDPM and NCSN++ (Song et al. 2021, appendix H), on ``[batch, *axes, channels]``.

They work on one, two or three spatial axes: the rank of their input decides. A pixel is a point of
its grid.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float, Signal
from sde_jax.nets.attention import attend

Activation = Callable[[Array], Array]

ACTIVATIONS: dict[str, Activation] = {
    "swish": nn.swish,
    "elu": nn.elu,
    "relu": nn.relu,
    "lrelu": lambda x: nn.leaky_relu(x, 0.2),
}
"""Activations by the names that specs use; the leaky one has slope 0.2."""


def initializer(scale: float = 1.0) -> nn.initializers.Initializer:
    """Returns uniform initialization of variance ``scale / fan_avg``; 0 stands for 1e-10."""
    return nn.initializers.variance_scaling(scale or 1e-10, "fan_avg", "uniform")


def convolve(
    x: Signal, features: int, dtype: DTypeLike, precision: PrecisionLike, scale: float = 1.0
) -> Signal:
    """Applies a convolution of kernel size 3 on every axis, padded with zeros, that keeps the size.

    The layer becomes a submodule of the calling module.
    """
    layer = nn.Conv(
        features,
        (3,) * (x.ndim - 2),
        kernel_init=initializer(scale),
        dtype=dtype,
        precision=precision,
    )
    return layer(x)


def product(
    features: int,
    dtype: DTypeLike,
    precision: PrecisionLike,
    scale: float = 1.0,
    name: str | None = None,
) -> nn.Dense:
    """Builds a dense layer over channels, shared by all pixels."""
    return nn.Dense(
        features, kernel_init=initializer(scale), dtype=dtype, precision=precision, name=name
    )


def add_shortcut(x: Signal, h: Signal, rescale: bool) -> Signal:
    """Returns the sum of a block and its shortcut, divided by sqrt(2) if ``rescale``."""
    return (x + h) / math.sqrt(2) if rescale else x + h


def over_pixels(values: Float[Array, "*batch channels"], x: Signal) -> Float[Array, "..."]:
    """Reshapes one vector of channels, or one per example, to broadcast against ``x``."""
    new = range(values.ndim - 1, x.ndim - 1)
    return jnp.expand_dims(values, tuple(new))


class GroupNorm(nn.Module):
    """Normalizes groups of channels, then scales and shifts each channel.

    Mean and variance over a group's channels and all pixels are computed in float32: first per
    channel, then over the channels of a group. XLA does this faster than both at once.

    Attributes:
      groups: number of groups; None for ``min(channels // 4, 32)``.
      epsilon: added to the variance.
      dtype: type of the output; parameters are float32.

    Raises:
      ValueError: if the number of groups does not divide the number of channels.
    """

    groups: int | None = None
    epsilon: float = 1e-6
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Signal) -> Signal:
        batch, channels = x.shape[0], x.shape[-1]
        groups = min(channels // 4, 32) if self.groups is None else self.groups
        if groups == 0 or channels % groups:
            raise ValueError(
                f"group normalization cannot divide {channels} channels into {groups} groups: "
                f"use a multiple of {self.groups or '4, and above 128 of 32'}"
            )
        scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)

        def group_mean(values: Signal) -> Signal:
            mean = values.mean(axis=tuple(range(1, x.ndim - 1)))
            mean = mean.reshape(batch, groups, -1).mean(axis=-1)
            return over_pixels(jnp.repeat(mean, channels // groups, axis=-1), x)

        x = x.astype(jnp.float32)
        x = x - group_mean(x)
        factor = jax.lax.rsqrt(group_mean(x**2) + self.epsilon) * over_pixels(scale, x)
        return (x * factor + over_pixels(bias, x)).astype(self.dtype)


class Layer(nn.Module, kw_only=True):
    """A module inside a network; its parameters are float32."""

    dtype: DTypeLike = jnp.float32
    """Type of the computation."""
    precision: PrecisionLike = None
    """Precision of every product."""

    @property
    def numerics(self) -> dict[str, Any]:
        """Type and precision, as arguments of layers."""
        return {"dtype": self.dtype, "precision": self.precision}


class ResidualBlock(Layer):
    """A residual block of two convolutions, with optional resampling as in BigGAN.

    ``h = conv(resample(act(norm(x)))) + time(embedding)``, ``h = conv(dropout(act(norm(h))))``; the
    output is ``(shortcut(resample(x)) + h) / sqrt(2)``. The shortcut is a dense layer over channels
    if the width changes or the image is resampled.

    Submodules: GroupNorm_0, Conv_0, time, GroupNorm_1, Conv_1, shortcut.

    Attributes:
      features: width of the output.
      resample: doubles or halves every axis; None keeps them.
      dropout: dropout rate before the second convolution.
      skip_rescale: divide the sum by sqrt(2).
      activation: the nonlinearity.
      groups: groups of the normalizations, as in ``GroupNorm``.
      epsilon: epsilon of the normalizations.
      init_scale: scale of the second convolution at initialization, as in ``initializer``.
      shortcut_scale: scale of the shortcut at initialization.
      rematerialize: recompute the block in the backward pass instead of storing activations.
    """

    features: int
    resample: Callable[[Signal], Signal] | None = None
    dropout: float = 0.0
    skip_rescale: bool = True
    activation: Activation = nn.swish
    groups: int | None = None
    epsilon: float = 1e-6
    init_scale: float = 0.0
    shortcut_scale: float = 1.0
    rematerialize: bool = False

    def __call__(
        self,
        x: Signal,
        embedding: Float[Array, "batch width"] | None,
        *,
        deterministic: bool = True,
    ) -> Signal:
        block = ResidualBlock._apply
        if self.rematerialize:
            block = nn.remat(block, static_argnums=3)
        return block(self, x, embedding, deterministic)

    @nn.compact
    def _apply(
        self, x: Signal, embedding: Float[Array, "batch width"] | None, deterministic: bool
    ) -> Signal:
        normalization = (self.groups, self.epsilon, self.dtype)
        h = self.activation(GroupNorm(*normalization)(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = convolve(h, self.features, **self.numerics)
        if embedding is not None:
            time = product(self.features, **self.numerics, name="time")(embedding)
            h = h + over_pixels(time, h)
        h = self.activation(GroupNorm(*normalization)(h))
        h = nn.Dropout(self.dropout)(h, deterministic=deterministic)
        h = convolve(h, self.features, **self.numerics, scale=self.init_scale)
        if self.resample is not None or x.shape[-1] != self.features:
            x = product(self.features, **self.numerics, scale=self.shortcut_scale, name="shortcut")(
                x
            )
        return add_shortcut(x, h, self.skip_rescale)


class AttentionBlock(Layer):
    """Self-attention over all pixels, with a shortcut.

    ``softmax(q k^T / sqrt(width)) v`` of the normalized input: see `attend`. Each head takes its
    own slice of the channels, of that width.

    Submodules: GroupNorm_0, query, key, value, output.

    Attributes:
      skip_rescale: divide the sum by sqrt(2).
      groups: groups of the normalization, as in ``GroupNorm``.
      epsilon: epsilon of the normalization.
      head_channels: width of a head; None for one head.
      init_scale: scale of the output layer at initialization, as in ``initializer``.

    Raises:
      ValueError: if ``head_channels`` does not divide the number of channels.
    """

    skip_rescale: bool = True
    groups: int | None = None
    epsilon: float = 1e-6
    head_channels: int | None = None
    init_scale: float = 0.0

    @nn.compact
    def __call__(self, x: Signal) -> Signal:
        batch, channels = x.shape[0], x.shape[-1]
        head_width = self.head_channels or channels
        if channels % head_width:
            raise ValueError(
                f"attention cannot divide {channels} channels into heads of {head_width}"
            )
        h = GroupNorm(self.groups, self.epsilon, self.dtype)(x)
        h = h.reshape(batch, -1, channels)
        query, key, value = (
            product(channels, **self.numerics, scale=0.1, name=name)(h).reshape(
                *h.shape[:2], -1, head_width
            )
            for name in ("query", "key", "value")
        )
        h = attend(query, key, value, self.precision)
        h = product(channels, **self.numerics, scale=self.init_scale, name="output")(
            h.reshape(x.shape)
        )
        return add_shortcut(x, h, self.skip_rescale)


class Combine(Layer):
    """Joins a second signal of the same size to ``h`` after a dense layer over channels (Dense_0).

    Attributes:
      method: "sum" adds the signal; "cat" concatenates it in front of ``h``, which doubles the
        width.
    """

    method: Literal["sum", "cat"]

    @nn.compact
    def __call__(self, x: Signal, h: Signal) -> Signal:
        x = product(h.shape[-1], **self.numerics)(x)
        return x + h if self.method == "sum" else jnp.concatenate([x, h], axis=-1)
