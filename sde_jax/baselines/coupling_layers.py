"""Invertible layers of RealNVP (Dinh et al. 2017, arXiv:1605.08803) and their inverses.

They take images ``[batch, height, width, channels]`` or points ``[batch, dimension]``. A mask is
one at the coordinates that a coupling keeps and zero at those that it changes.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Examples, Float, Image, PerExample, sum_except_batch
from sde_jax.nets.blocks import GroupNorm, Layer, ResidualBlock, convolve

Mask = Callable[[tuple[int, ...], int], np.ndarray]


def checkerboard_mask(shape: tuple[int, ...], parity: int) -> np.ndarray:
    """Returns one where the sum of the indices has ``parity``, 0 or 1, and zero elsewhere.

    For images ``(height, width, channels)``, the sum is over the first two indices (section 3.4,
    figure 3).
    """
    image = len(shape) == 3
    kept = np.indices(shape[:2] if image else shape).sum(axis=0) % 2 == parity
    return np.broadcast_to(kept[..., None] if image else kept, shape).astype(np.float32)


def channel_mask(shape: tuple[int, ...], parity: int) -> np.ndarray:
    """Returns one in the first half of the channels or, for ``parity`` 1, in the second half."""
    kept = np.arange(shape[-1]) // (shape[-1] // 2) == parity
    return np.broadcast_to(kept, shape).astype(np.float32)


def squeeze(x: Image) -> Image:
    """Merges each square of 2x2 pixels into one pixel of four times the channels (section 3.6).

    The channels of the upper pixels come first. The two halves of the channels are therefore rows,
    which checkerboard masks do not separate.
    """
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // 2, width // 2, 4 * channels)


def unsqueeze(x: Image) -> Image:
    """Inverts `squeeze`."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, 2, 2, channels // 4)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, channels // 4)


def to_logits(x: Examples, margin: float) -> tuple[Examples, PerExample]:
    """Returns ``logit(p)`` at ``p = margin + (1 - 2 margin) (x + 1) / 2`` and its log-determinant.

    Section 4.1, with ``x`` an image in [-1, 1] and the margin the paper's alpha. The derivative is
    ``(1 - 2 margin) / (2 p (1 - p))``. The result is NaN unless ``p`` lies in (0, 1).
    """
    slope = 0.5 - margin
    p = margin + slope * (x + 1)
    log_p, log_rest = jnp.log(p), jnp.log1p(-p)
    return log_p - log_rest, sum_except_batch(math.log(slope) - log_p - log_rest)


def from_logits(logits: Examples, margin: float) -> Examples:
    """Inverts `to_logits`; results exceed [-1, 1] by up to ``2 margin / (1 - 2 margin)``."""
    return (jax.nn.sigmoid(logits) - margin) / (0.5 - margin) - 1


class Subnetwork(Layer):
    """Network of a coupling on the coordinates that it keeps; its initial output is zero.

    For images it has a 3x3 convolution, residual blocks, ``swish(norm(h))`` and a 3x3 convolution.
    For points it has hidden layers ``swish(dense(h))`` and a dense layer.

    Attributes:
      features: channels of the output, or its dimension for points.
      width: channels of the hidden layers.
      depth: residual blocks, or hidden layers.
    """

    features: int
    width: int
    depth: int

    @nn.compact
    def __call__(self, x: Examples) -> Float[Array, "batch *features"]:
        options = self.numerics
        zeros = nn.initializers.zeros
        if x.ndim == 4:
            h = convolve(x, self.width, **options)
            for _ in range(self.depth):
                h = ResidualBlock(self.width, **options)(h, None)
            h = nn.swish(GroupNorm(dtype=self.dtype)(h))
            h = nn.Conv(self.features, (3, 3), kernel_init=zeros, **options)(h)
        else:
            h = x
            for _ in range(self.depth):
                h = nn.swish(nn.Dense(self.width, **options)(h))
            h = nn.Dense(self.features, kernel_init=zeros, **options)(h)
        return h.astype(jnp.float32)


class AffineCoupling(nn.Module):
    """``y = b x + (1 - b) (x exp(s) + t)`` with a mask b (eq. 9, section 4.1).

    Log scale and shift are functions of ``b x`` and, where there is one, of a condition. The log
    scale is ``s = factor tanh(raw)``. The factor bounds it and is learned for each channel, from 1.
    The log-determinant is the sum of ``(1 - b) s``. The initial map is the identity.

    Attributes:
      mask: returns b for a shape and a parity.
      parity: the half of the coordinates that is kept, 0 or 1.
      subnetwork: builds a `Subnetwork` of so many features, which computes ``raw`` and ``t``.
    """

    mask: Mask
    parity: int
    subnetwork: Callable[[int], nn.Module]

    def forward(
        self, x: Examples, condition: Examples | None = None
    ) -> tuple[Examples, PerExample]:
        """Returns ``y`` and the log-determinant of each example."""
        log_scale, shift = self._log_scale_and_shift(x, condition)
        return x * jnp.exp(log_scale) + shift, sum_except_batch(log_scale)

    def inverse(self, y: Examples) -> Examples:
        """Returns the ``x`` that ``forward`` maps to ``y`` without a condition."""
        log_scale, shift = self._log_scale_and_shift(y, None)
        return (y - shift) * jnp.exp(-log_scale)

    @nn.compact
    def _log_scale_and_shift(self, x: Array, condition: Array | None) -> tuple[Array, Array]:
        """Returns ``(1 - b) s`` and ``(1 - b) t``, which depend on the kept coordinates only."""
        channels = x.shape[-1]
        kept = jnp.asarray(self.mask(x.shape[1:], self.parity))[None]
        seen = kept * x if condition is None else jnp.concatenate([kept * x, condition], axis=-1)
        raw, shift = jnp.split(self.subnetwork(2 * channels)(seen), 2, axis=-1)
        factor = self.param("factor", nn.initializers.ones, (channels,), jnp.float32)
        log_scale = factor.reshape((1,) * (x.ndim - 1) + (channels,)) * jnp.tanh(raw)
        return (1 - kept) * log_scale, (1 - kept) * shift
