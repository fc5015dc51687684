"""Upsampling and downsampling of images by two: ``[batch, height, width, channels]``.

Without a filter, pixels are repeated or averaged. A filter is a tuple of ``n`` taps, such as (1, 3,
3, 1). Its outer product with itself, divided by its sum, is convolved with each channel, as in
StyleGAN2 (Karras et al. 2020, arXiv:1912.04958) and NCSN++::

    downsample  pad n - 2 zeros, filter, keep every second pixel
    upsample    put a zero between pixels, pad n zeros, filter, times 4
    Downsample  pad n zeros, filter, 3x3 convolution of stride 2 without padding
    Upsample    put a zero between pixels, 3x3 convolution with 2 zeros on every side,
                pad n - 2 zeros, filter, times 4, add the bias

Padding by ``p`` puts ``(p + 1) // 2`` zeros before the image and ``p // 2`` after it; -1 crops the
end.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import PrecisionLike

from sde_jax.arrays import Array, Float, Image
from sde_jax.nets.blocks import Layer, convolution, initializer

Taps = tuple[int, ...]


def upsample(
    x: Image,
    taps: Taps | None = None,
    precision: PrecisionLike = None,
) -> Float[Array, "batch 2*height 2*width channels"]:
    """Doubles height and width, without parameters, by repeating pixels or by a filter."""
    if taps is not None:
        return _filter(x, taps, len(taps), gain=4, dilation=2, precision=precision)
    batch, height, width, channels = x.shape
    repeated = jnp.broadcast_to(x[:, :, None, :, None, :], (batch, height, 2, width, 2, channels))
    return repeated.reshape(batch, 2 * height, 2 * width, channels)


def downsample(
    x: Image,
    taps: Taps | None = None,
    precision: PrecisionLike = None,
) -> Float[Array, "batch height/2 width/2 channels"]:
    """Halves even height and width, without parameters, by averaging pixels or by a filter."""
    if taps is not None:
        return _filter(x, taps, len(taps) - 2, stride=2, precision=precision)
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


class Upsample(Layer):
    """Doubles height and width with a 3x3 convolution, Conv_0, of repeated or filtered pixels.

    Attributes:
      features: width of the output.
      taps: the filter, or None.
    """

    features: int
    taps: Taps | None = None

    @nn.compact
    def __call__(self, x: Image) -> Image:
        taps, precision = self.taps, self.precision
        if taps is None:
            return convolution(self.features, **self.numerics)(upsample(x))

        def convolve_and_filter(*args: Any, **options: Any) -> Array:
            h = jax.lax.conv_general_dilated(*args, **options)
            return _filter(h, taps, len(taps) - 2, gain=4, precision=precision)

        return nn.Conv(
            self.features,
            (3, 3),
            padding=2,
            input_dilation=2,
            kernel_init=initializer(),
            **self.numerics,
            conv_general_dilated=convolve_and_filter,
        )(x)


class Downsample(Layer):
    """Halves height and width with a 3x3 convolution of stride 2, Conv_0, of the filtered image.

    Without a filter the image is padded with a row of zeros below and a column on the right, or
    with zeros on every side.

    Attributes:
      features: width of the output.
      taps: the filter, or None.
      pad_every_side: pad every side, without a filter.
    """

    features: int
    taps: Taps | None = None
    pad_every_side: bool = False

    @nn.compact
    def __call__(self, x: Image) -> Image:
        padding = ((int(self.pad_every_side), 1),) * 2
        if self.taps is not None:
            x = _filter(x, self.taps, len(self.taps), precision=self.precision)
            padding = ((0, 0),) * 2
        return nn.Conv(
            self.features,
            (3, 3),
            strides=2,
            padding=padding,
            kernel_init=initializer(),
            **self.numerics,
        )(x)


def _filter(
    x: Image,
    taps: Taps,
    padding: int,
    *,
    gain: float = 1.0,
    stride: int = 1,
    dilation: int = 1,
    precision: PrecisionLike,
) -> Image:
    """Convolves each channel of ``x``, dilated and padded, with the outer product of ``taps``."""
    kernel = np.outer(taps[::-1], taps[::-1])
    kernel = (gain * kernel / kernel.sum()).astype(x.dtype)[:, :, None, None]
    channels = x.shape[-1]
    return jax.lax.conv_general_dilated(
        x,
        jnp.broadcast_to(kernel, (*kernel.shape[:3], channels)),
        window_strides=(stride, stride),
        padding=[((padding + 1) // 2, padding // 2)] * 2,
        lhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
        precision=precision,
    )
