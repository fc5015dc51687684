"""Upsampling and downsampling by two, on every spatial axis of ``[batch, *axes, channels]``.

Without a filter, pixels are repeated or averaged. A filter is a tuple of ``n`` taps, such as (1, 3,
3, 1). Its outer product with itself, once for each axis, divided by its sum, is convolved with each
channel, as in StyleGAN2 (Karras et al. 2020, arXiv:1912.04958) and NCSN++. On d axes::

    downsample  pad n - 2 zeros, filter, keep every second pixel
    upsample    put a zero between pixels, pad n zeros, filter, times 2^d
    Downsample  pad n zeros, filter, convolution of kernel size 3 and stride 2 without padding
    Upsample    put a zero between pixels, convolution of kernel size 3 with 2 zeros on every side,
                pad n - 2 zeros, filter, times 2^d, add the bias

Padding by ``p`` puts ``(p + 1) // 2`` zeros before the signal and ``p // 2`` after it; -1 crops the
end.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import PrecisionLike

from sde_jax.arrays import Array, Signal
from sde_jax.nets.blocks import Layer, convolve, initializer

Taps = tuple[int, ...]


def upsample(
    x: Signal,
    taps: Taps | None = None,
    precision: PrecisionLike = None,
) -> Signal:
    """Doubles every axis, without parameters, by repeating pixels or by a filter."""
    axes = x.ndim - 2
    if taps is not None:
        return _filter(x, taps, len(taps), gain=2**axes, dilation=2, precision=precision)
    batch, *sizes, channels = x.shape
    pairs = (number for size in sizes for number in (size, 2))
    apart = jnp.expand_dims(x, tuple(range(2, 2 * axes + 1, 2)))
    repeated = jnp.broadcast_to(apart, (batch, *pairs, channels))
    return repeated.reshape(batch, *(2 * size for size in sizes), channels)


def downsample(
    x: Signal,
    taps: Taps | None = None,
    precision: PrecisionLike = None,
) -> Signal:
    """Halves every axis, of even size, without parameters, by averaging pixels or by a filter."""
    if taps is not None:
        return _filter(x, taps, len(taps) - 2, stride=2, precision=precision)
    return by_blocks(x).mean(axis=block_axes(x))


def by_blocks(x: Signal) -> Array:
    """Reshapes each axis of size n, which must be even, into two, of sizes n / 2 and 2."""
    batch, *sizes, channels = x.shape
    pairs = (number for size in sizes for number in (size // 2, 2))
    return x.reshape(batch, *pairs, channels)


def block_axes(x: Signal) -> tuple[int, ...]:
    """Returns the axes of ``by_blocks(x)`` that run inside blocks of two by two pixels."""
    return tuple(range(2, 2 * (x.ndim - 2) + 1, 2))


class Upsample(Layer):
    """Doubles every axis with a convolution, Conv_0, of repeated or filtered pixels.

    Attributes:
      features: width of the output.
      taps: the filter, or None.
    """

    features: int
    taps: Taps | None = None

    @nn.compact
    def __call__(self, x: Signal) -> Signal:
        taps, precision = self.taps, self.precision
        if taps is None:
            return convolve(upsample(x), self.features, **self.numerics)

        def convolve_and_filter(*args: Any, **options: Any) -> Array:
            h = jax.lax.conv_general_dilated(*args, **options)
            return _filter(h, taps, len(taps) - 2, gain=2 ** (h.ndim - 2), precision=precision)

        return nn.Conv(
            self.features,
            (3,) * (x.ndim - 2),
            padding=2,
            input_dilation=2,
            kernel_init=initializer(),
            **self.numerics,
            conv_general_dilated=convolve_and_filter,
        )(x)


class Downsample(Layer):
    """Halves every axis with a convolution of stride 2, Conv_0, of the filtered signal.

    Without a filter each axis is padded with a zero at its end, or at both.

    Attributes:
      features: width of the output.
      taps: the filter, or None.
      pad_every_side: pad both ends, without a filter.
    """

    features: int
    taps: Taps | None = None
    pad_every_side: bool = False

    @nn.compact
    def __call__(self, x: Signal) -> Signal:
        axes = x.ndim - 2
        padding = ((int(self.pad_every_side), 1),) * axes
        if self.taps is not None:
            x = _filter(x, self.taps, len(self.taps), precision=self.precision)
            padding = ((0, 0),) * axes
        return nn.Conv(
            self.features,
            (3,) * axes,
            strides=2,
            padding=padding,
            kernel_init=initializer(),
            **self.numerics,
        )(x)


def _filter(
    x: Signal,
    taps: Taps,
    padding: int,
    *,
    gain: float = 1.0,
    stride: int = 1,
    dilation: int = 1,
    precision: PrecisionLike,
) -> Signal:
    """Convolves each channel of ``x``, dilated and padded, with the outer product of ``taps``."""
    axes, channels = x.ndim - 2, x.shape[-1]
    kernel = functools.reduce(np.multiply.outer, [np.asarray(taps[::-1])] * axes)
    kernel = (gain * kernel / kernel.sum()).astype(x.dtype)[..., None, None]
    letters = "DHW"[-axes:]
    return jax.lax.conv_general_dilated(
        x,
        jnp.broadcast_to(kernel, (*kernel.shape[:-1], channels)),
        window_strides=(stride,) * axes,
        padding=[((padding + 1) // 2, padding // 2)] * axes,
        lhs_dilation=(dilation,) * axes,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=channels,
        precision=precision,
    )
