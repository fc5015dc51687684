"""Encoder and decoder of an autoencoder of images, whose latents are small images."""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float, Key, sum_except_batch
from sde_jax.nets.blocks import GroupNorm, Image, ResidualBlock, convolution, product
from sde_jax.nets.resampling import downsample, upsample
from sde_jax.randomness import unit_noise

__all__ = ["AutoencoderSpec", "ImageDecoder", "ImageEncoder", "Posterior"]


class Posterior(NamedTuple):
    """What an encoder says of latents: ``q(z|x) = N(mean, diag(exp(log_scale))^2)``."""

    mean: Float[Array, "batch *latent"]
    log_scale: Float[Array, "batch *latent"]
    """Logarithm of the deviation."""

    def at(self, noise: Float[Array, "batch *latent"]) -> Float[Array, "batch *latent"]:
        """The latents ``z = mean + exp(log_scale) noise``."""
        return self.mean + jnp.exp(self.log_scale) * noise

    def draw(self, keys: Key[Array, "batch"]) -> Float[Array, "batch *latent"]:
        """Draws latents, one for each key."""
        return self.at(unit_noise(keys, self.mean.shape[1:]))

    def log_density(self, noise: Float[Array, "batch *latent"]) -> Float[Array, "batch"]:
        """``log q(z|x)`` of the latents at this noise, in nats."""
        terms = 0.5 * noise**2 + self.log_scale + 0.5 * math.log(2 * math.pi)
        return -sum_except_batch(terms)

    def divergence(self) -> Float[Array, "batch"]:
        """``KL(q(z|x) || N(0, 1))`` in nats, Kingma and Welling 2014 (arXiv:1312.6114), app. B."""
        terms = self.mean**2 + jnp.expm1(2 * self.log_scale) - 2 * self.log_scale
        return 0.5 * sum_except_batch(terms)


@dataclass(frozen=True, kw_only=True)
class AutoencoderSpec:
    """The shape of an `ImageEncoder` and of the `ImageDecoder` that mirrors it.

    Raises:
      ValueError: if a field is out of range.
    """

    latent: int = 4
    """Channels of the latent image."""
    channels: int = 32
    """Width of the first convolution."""
    multipliers: tuple[int, ...] = (1, 2)
    """Width of each level in multiples of `channels`; each halves height and width."""
    vector: bool = False
    """Whether the latent image is a single pixel that stands for the whole image; otherwise it is
    as large as the last level, and each of its pixels stands for its neighbourhood."""

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise ValueError(f"`latent` must be at least 1: got {self.latent}.")
        if self.channels < 4 or self.channels % 4:
            raise ValueError(
                "`channels` must be a multiple of 4, which are normalized together: got "
                f"{self.channels}."
            )
        if not self.multipliers or min(self.multipliers) < 1:
            raise ValueError(
                f"`multipliers` must be one or more whole numbers from 1: got {self.multipliers}."
            )

    def encoder(self) -> "ImageEncoder":
        """The encoder of this shape."""
        return ImageEncoder(self)

    def decoder(self, shape: tuple[int, ...]) -> "ImageDecoder":
        """The decoder to images of ``shape``.

        Raises:
          ValueError: if these are no images, or the levels cannot halve them.
        """
        check_shape(shape, len(self.multipliers))
        return ImageDecoder(self, shape)


class ImageEncoder(nn.Module):
    """From images to a `Posterior` of latent images ``[batch, height, width, latent]``.

    A convolution, for each level a residual block that halves (`ResidualBlock`),
    ``swish(norm(h))``, and a product: over the channels of each pixel or, for a vector, over all.
    Its output is the mean, then the logarithm of the deviation.

    Attributes:
      spec: the shape of the network.
      dtype: type of the computation; parameters and output are float32.
      precision: precision of every product; None follows ``jax.default_matmul_precision``.

    Raises:
      ValueError: if the examples are no images, or the levels cannot halve them.
    """

    spec: AutoencoderSpec
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(self, x: Image) -> Posterior:
        spec, dtype, precision = self.spec, self.dtype, self.precision
        check_shape(x.shape[1:], len(spec.multipliers))
        halving = functools.partial(
            ResidualBlock, resample=downsample, dtype=dtype, precision=precision
        )
        h = convolution(spec.channels, dtype, precision)(x)
        for multiplier in spec.multipliers:
            h = halving(multiplier * spec.channels)(h, None)
        h = nn.swish(GroupNorm(dtype=dtype)(h))
        if spec.vector:
            h = h.reshape(len(h), 1, 1, -1)
        h = product(2 * spec.latent, dtype, precision)(h).astype(jnp.float32)
        return Posterior(*jnp.split(h, 2, axis=-1))


class ImageDecoder(nn.Module):
    """From latent images to what `OutputDistribution` makes images of, of their shape.

    A product over the channels of each latent pixel, which for a vector makes all pixels of the
    last level; for each level, the last first, a residual block that doubles; and a convolution of
    ``swish(norm(h))``.

    Attributes:
      spec: the shape of the network.
      shape: that of an image.
      dtype: type of the computation; parameters and output are float32.
      precision: precision of every product; None follows ``jax.default_matmul_precision``.
    """

    spec: AutoencoderSpec
    shape: tuple[int, ...]
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(self, z: Image) -> Image:
        spec, dtype, precision = self.spec, self.dtype, self.precision
        doubling = functools.partial(
            ResidualBlock, resample=upsample, dtype=dtype, precision=precision
        )
        height, width = (size >> len(spec.multipliers) for size in self.shape[:2])
        features = spec.multipliers[-1] * spec.channels
        pixels = height * width if spec.vector else 1
        h = product(pixels * features, dtype, precision)(z)
        h = h.reshape(len(z), height, width, features)
        for multiplier in reversed(spec.multipliers):
            h = doubling(multiplier * spec.channels)(h, None)
        h = nn.swish(GroupNorm(dtype=dtype)(h))
        return convolution(self.shape[2], dtype, precision)(h).astype(jnp.float32)


def check_shape(shape: tuple[int, ...], levels: int) -> None:
    """Refuses examples that are no images of a size that can be halved so often."""
    if len(shape) != 3:
        raise ValueError(f"an autoencoder of images takes images: got examples of shape {shape}.")
    if shape[0] % 2**levels or shape[1] % 2**levels:
        raise ValueError(
            f"the {levels} levels of `multipliers` need a height and width that {2**levels} "
            f"divides: got images of {shape[0]}x{shape[1]}."
        )
