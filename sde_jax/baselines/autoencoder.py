"""Convolutional encoder and decoder between images and small latent images."""

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Image, Keys, PerExample, sum_except_batch
from sde_jax.baselines.checks import check_image
from sde_jax.nets.blocks import GroupNorm, Layer, ResidualBlock, convolve, product
from sde_jax.nets.resampling import downsample, upsample
from sde_jax.nets.spec import NetworkModule
from sde_jax.randomness import unit_noise
from sde_jax.validation import GroupWidth, Multipliers, Spec, at_least, at_most

Latents = Float[Array, "batch *latent"]


class Posterior(NamedTuple):
    """The approximate posterior ``q(z|x) = N(mean, diag(exp(log_scale))^2)`` of an encoder."""

    mean: Latents
    log_scale: Latents
    """Logarithm of the standard deviation."""

    def at(self, noise: Latents) -> Latents:
        """Returns the latents ``z = mean + exp(log_scale) noise``."""
        return self.mean + jnp.exp(self.log_scale) * noise

    def draw(self, keys: Keys) -> Latents:
        """Draws the latent of each example from its own key."""
        return self.at(unit_noise(keys, self.mean.shape[1:]))

    def log_density(self, noise: Latents) -> PerExample:
        """Returns ``log q(z|x)`` of the latents at this noise, in nats."""
        terms = 0.5 * noise**2 + self.log_scale + 0.5 * math.log(2 * math.pi)
        return -sum_except_batch(terms)

    def divergence(self) -> PerExample:
        """Returns ``KL(q(z|x) || N(0, 1))`` in nats.

        Kingma and Welling 2014 (arXiv:1312.6114), appendix B.
        """
        terms = self.mean**2 + jnp.expm1(2 * self.log_scale) - 2 * self.log_scale
        return 0.5 * sum_except_batch(terms)


@dataclass(frozen=True, kw_only=True)
class AutoencoderSpec(Spec):
    """Hyperparameters of an `ImageEncoder` and of the `ImageDecoder` that mirrors it.

    Raises:
      ValueError: if a field is out of range.
    """

    latent: Annotated[int, at_least(1), at_most(2**16)] = 4
    """Channels of the latent image."""
    channels: GroupWidth = 32
    """Width of the first convolution."""
    multipliers: Multipliers = (1, 2)
    """Width of each level in multiples of ``channels``; each level halves height and width."""
    vector: bool = False
    """Whether the latent is one pixel for the whole image. Otherwise it is an image of the size of
    the last level, each of whose pixels represents its neighbourhood."""

    def encoder(self) -> "ImageEncoder":
        """Builds the encoder."""
        return ImageEncoder(self)

    def decoder(self, shape: tuple[int, ...]) -> "ImageDecoder":
        """Builds the decoder to images of ``shape``.

        Raises:
          ValueError: if the examples are not images, or the levels cannot halve them.
        """
        self.check_shape(shape)
        return ImageDecoder(self, shape)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raises `ValueError` unless examples of ``shape`` are images that the levels can halve."""
        check_image(shape, len(self.multipliers), "multipliers")


class ImageEncoder(NetworkModule):
    """Encoder from images to a `Posterior` of latent images ``[batch, height, width, latent]``.

    Its layers are a convolution, one halving `ResidualBlock` per level, ``swish(norm(h))``, and a
    dense layer over the channels of each pixel or, if ``vector``, over all pixels. The output is
    the mean, then the logarithm of the standard deviation.

    Raises:
      ValueError: if the examples are not images, or the levels cannot halve them.
    """

    spec: AutoencoderSpec

    @nn.compact
    def __call__(self, x: Image) -> Posterior:
        spec, options = self.spec, self.numerics
        spec.check_shape(x.shape[1:])
        h = convolve(x, spec.channels, **options)
        for multiplier in spec.multipliers:
            h = ResidualBlock(multiplier * spec.channels, resample=downsample, **options)(h, None)
        h = nn.swish(GroupNorm(dtype=self.dtype)(h))
        if spec.vector:
            h = h.reshape(len(h), 1, 1, -1)
        h = product(2 * spec.latent, **options)(h).astype(jnp.float32)
        return Posterior(*jnp.split(h, 2, axis=-1))


class ImageDecoder(Layer):
    """Decoder from latent images to the output that an `OutputDistribution` reads.

    Its layers are a dense layer over the channels of each latent pixel, one doubling
    `ResidualBlock` per level in reverse order, ``swish(norm(h))``, and a convolution. If
    ``vector``, the dense layer makes all pixels of the last level.

    Attributes:
      spec: hyperparameters of the network.
      shape: shape of an image.
    """

    spec: AutoencoderSpec
    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, z: Image) -> Image:
        spec, options = self.spec, self.numerics
        height, width = (size >> len(spec.multipliers) for size in self.shape[:2])
        features = spec.multipliers[-1] * spec.channels
        pixels = height * width if spec.vector else 1
        h = product(pixels * features, **options)(z)
        h = h.reshape(len(z), height, width, features)
        for multiplier in reversed(spec.multipliers):
            h = ResidualBlock(multiplier * spec.channels, resample=upsample, **options)(h, None)
        h = nn.swish(GroupNorm(dtype=self.dtype)(h))
        return convolve(h, self.shape[2], **options).astype(jnp.float32)
