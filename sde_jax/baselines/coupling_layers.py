"""The pieces of RealNVP (Dinh et al. 2017, arXiv:1605.08803), each with its exact inverse.

They take images ``[batch, height, width, channels]`` or points ``[batch, dimension]``. A mask is
one at the coordinates that a coupling keeps and zero at those that it changes.
"""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float, sum_except_batch
from sde_jax.nets.blocks import GroupNorm, Image, ResidualBlock, convolution

__all__ = [
    "AffineCoupling",
    "Mask",
    "channel_mask",
    "checkerboard_mask",
    "from_logits",
    "squeeze",
    "to_logits",
    "unsqueeze",
]

Mask = Callable[[tuple[int, ...], int], np.ndarray]


def checkerboard_mask(shape: tuple[int, ...], parity: int) -> np.ndarray:
    """One where the sum of the indices has ``parity``, 0 or 1: every other pixel or coordinate.

    Of an image ``(height, width, channels)`` the first two indices count (section 3.4, figure 3).
    """
    image = len(shape) == 3
    kept = np.indices(shape[:2] if image else shape).sum(axis=0) % 2 == parity
    return np.broadcast_to(kept[..., None] if image else kept, shape).astype(np.float32)


def channel_mask(shape: tuple[int, ...], parity: int) -> np.ndarray:
    """One in the first half of an even number of channels, or for ``parity`` 1 in the second."""
    kept = np.arange(shape[-1]) // (shape[-1] // 2) == parity
    return np.broadcast_to(kept, shape).astype(np.float32)


def squeeze(x: Image) -> Image:
    """Makes each square of 2x2 pixels one pixel of four times the channels (section 3.6).

    The channels of the upper pixels come first, so that halves of the channels are rows, which no
    checkerboard has told apart.
    """
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // 2, width // 2, 4 * channels)


def unsqueeze(x: Image) -> Image:
    """The inverse of `squeeze`."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, 2, 2, channels // 4)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, channels // 4)


def to_logits(
    x: Float[Array, "batch *shape"], margin: float
) -> tuple[Float[Array, "batch *shape"], Float[Array, "batch"]]:
    """``logit(p)`` of ``p = margin + (1 - 2 margin) (x + 1) / 2`` (section 4.1), and its log-det.

    ``x`` is an image in [-1, 1], the margin is the paper's alpha, and the slope is
    ``(1 - 2 margin) / (2 p (1 - p))``. NaN where ``p`` is not in (0, 1).
    """
    slope = 0.5 - margin
    p = margin + slope * (x + 1)
    log_p, log_rest = jnp.log(p), jnp.log1p(-p)
    return log_p - log_rest, sum_except_batch(math.log(slope) - log_p - log_rest)


def from_logits(logits: Float[Array, "batch *shape"], margin: float) -> Float[Array, "..."]:
    """The inverse of `to_logits`, which exceeds [-1, 1] by up to ``2 margin / (1 - 2 margin)``."""
    return (jax.nn.sigmoid(logits) - margin) / (0.5 - margin) - 1


class Subnetwork(nn.Module):
    """What a coupling is computed by, of the coordinates that it keeps; zero at initialization.

    For images a 3x3 convolution, residual blocks, ``swish(norm(h))`` and a 3x3 convolution; for
    points layers ``swish(dense(h))`` and a dense one.

    Attributes:
      features: channels of the output; of points, the dimension.
      width: channels of the hidden layers.
      depth: residual blocks, or hidden layers.
      dtype: type of the computation; parameters and output are float32.
      precision: precision of every product; None follows ``jax.default_matmul_precision``.
    """

    features: int
    width: int
    depth: int
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(self, x: Float[Array, "batch *shape"]) -> Float[Array, "batch *features"]:
        dtype, precision, zeros = self.dtype, self.precision, nn.initializers.zeros
        if x.ndim == 4:
            convolve = functools.partial(nn.Conv, dtype=dtype, precision=precision)
            block = functools.partial(ResidualBlock, dtype=dtype, precision=precision)
            h = convolution(self.width, dtype, precision)(x)
            for _ in range(self.depth):
                h = block(self.width)(h, None)
            h = nn.swish(GroupNorm(dtype=dtype)(h))
            output = convolve(self.features, (3, 3), kernel_init=zeros)(h)
        else:
            dense = functools.partial(nn.Dense, dtype=dtype, precision=precision)
            h = x
            for _ in range(self.depth):
                h = nn.swish(dense(self.width)(h))
            output = dense(self.features, kernel_init=zeros)(h)
        return output.astype(jnp.float32)


class AffineCoupling(nn.Module):
    """``y = b x + (1 - b) (x exp(s(b x)) + t(b x))`` with a mask b (eq. 9, section 4.1).

    The log scale is ``s = factor tanh(raw)``, its factor learned for each channel from 1, so that
    it is bounded. The log-determinant is the sum of ``(1 - b) s``. The identity at initialization.

    Attributes:
      mask: what of an example's shape is kept.
      parity: which half of the mask's two.
      width: of the `Subnetwork` that gives ``raw`` and ``t``.
      depth: that of the subnetwork.
      dtype: type of the subnetwork's inside; all else is float32.
      precision: that of the subnetwork.
    """

    mask: Mask
    parity: int
    width: int
    depth: int
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    def forward(
        self, x: Float[Array, "batch *shape"]
    ) -> tuple[Float[Array, "batch *shape"], Float[Array, "batch"]]:
        """The changed example and the log-determinant."""
        log_scale, shift = self._log_scale_and_shift(x)
        return x * jnp.exp(log_scale) + shift, sum_except_batch(log_scale)

    def inverse(self, y: Float[Array, "batch *shape"]) -> Float[Array, "batch *shape"]:
        """The example that ``forward`` changes to ``y``."""
        log_scale, shift = self._log_scale_and_shift(y)
        return (y - shift) * jnp.exp(-log_scale)

    @nn.compact
    def _log_scale_and_shift(self, x: Array) -> tuple[Array, Array]:
        """Both zero at what is kept, on which alone they depend."""
        channels = x.shape[-1]
        kept = jnp.asarray(self.mask(x.shape[1:], self.parity))[None]
        subnetwork = Subnetwork(2 * channels, self.width, self.depth, self.dtype, self.precision)
        raw, shift = jnp.split(subnetwork(kept * x), 2, axis=-1)
        factor = self.param("factor", nn.initializers.ones, (channels,))
        log_scale = factor.reshape((1,) * (x.ndim - 1) + (channels,)) * jnp.tanh(raw)
        return (1 - kept) * log_scale, (1 - kept) * shift
