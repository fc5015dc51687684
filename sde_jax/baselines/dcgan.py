"""The convolutional generator and discriminator of DCGAN, for images of any size."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float
from sde_jax.nets.blocks import ACTIVATIONS, GroupNorm, Image

__all__ = ["DCGANDiscriminator", "DCGANGenerator", "DCGANSpec"]


@dataclass(frozen=True, kw_only=True)
class DCGANSpec:
    """The shape of the two networks, mirror images of each other.

    Radford et al. 2016 (arXiv:1511.06434), section 3, with 4x4 kernels: a kernel whose size the
    stride divides leaves no checkerboard. Every layer but the first and the last of a network is
    normalized, in groups of channels of one example instead of over the batch, so that neither a
    sample nor a score nor a gradient penalty depends on other examples. Weights are drawn from
    ``N(0, .02^2)``.

    Raises:
      ValueError: if a field is out of range.
    """

    channels: int = 64
    """Width of the level next to the image."""
    multipliers: tuple[int, ...] = (1, 2, 4)
    """Width of each level in multiples of ``channels``, from the image on; each halves height and
    width. The published network of 64x64 images has (1, 2, 4, 8) and 128 channels."""

    def __post_init__(self) -> None:
        if self.channels < 4 or self.channels % 4:
            raise ValueError(
                "`channels` must be a multiple of 4, which are normalized together: got "
                f"{self.channels}."
            )
        if not self.multipliers or min(self.multipliers) < 1:
            raise ValueError(
                f"`multipliers` must be one or more whole numbers from 1: got {self.multipliers}."
            )

    def build_generator(self) -> "DCGANGenerator":
        """The generator of this shape."""
        return DCGANGenerator(self)

    def build_discriminator(self) -> "DCGANDiscriminator":
        """The discriminator of this shape."""
        return DCGANDiscriminator(self)


class DCGANGenerator(nn.Module):
    """Images in (-1, 1) from latents.

    Called as ``(latent, shape=shape)``, ``latent`` of shape ``[batch, dimension]`` and ``shape``
    that of one image; returns float32 of shape ``[batch, *shape]``. A product to the smallest
    image, then a transposed convolution of stride 2 for each level, with ``relu(norm(h))`` before
    each and ``tanh`` at the end.

    Attributes:
      spec: the shape of the network.
      dtype: type of the computation; parameters and output are float32.
      precision: precision of every product; None follows ``jax.default_matmul_precision``.

    Raises:
      ValueError: if ``shape`` is not that of an image that the levels can halve.
    """

    spec: DCGANSpec
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(self, latent: Float[Array, "batch latent"], *, shape: tuple[int, ...]) -> Image:
        spec = self.spec
        smallest = smallest_shape(spec, shape)
        h = layer(nn.Dense, self)(math.prod(smallest))(latent)
        h = h.reshape(len(latent), *smallest)
        widths = [multiplier * spec.channels for multiplier in spec.multipliers[:-1]]
        for width in (*reversed(widths), shape[-1]):
            h = nn.relu(GroupNorm(dtype=self.dtype)(h))
            h = layer(nn.ConvTranspose, self)(width, (4, 4), (2, 2))(h)
        return nn.tanh(h.astype(jnp.float32))


class DCGANDiscriminator(nn.Module):
    """One score for each image: positive for what looks real.

    Called as ``(x)``, ``x`` of shape ``[batch, height, width, channels]``; returns float32 of shape
    ``[batch]``, without a sigmoid. A convolution of stride 2 for each level, each but the first
    followed by ``norm``, with leaky relu of slope .2 after each, and a product of all that is left.

    Attributes:
      spec: the shape of the network.
      dtype: type of the computation; parameters and output are float32.
      precision: precision of every product; None follows ``jax.default_matmul_precision``.

    Raises:
      ValueError: if the examples are not images that the levels can halve.
    """

    spec: DCGANSpec
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(self, x: Image) -> Float[Array, "batch"]:
        smallest_shape(self.spec, x.shape[1:])
        h = x
        for level, multiplier in enumerate(self.spec.multipliers):
            h = layer(nn.Conv, self)(multiplier * self.spec.channels, (4, 4), (2, 2))(h)
            h = ACTIVATIONS["lrelu"](GroupNorm(dtype=self.dtype)(h) if level else h)
        score = layer(nn.Dense, self)(1)(h.reshape(len(h), -1))
        return score.astype(jnp.float32).reshape(-1)


def layer(kind: type[nn.Module], network: DCGANGenerator | DCGANDiscriminator) -> Callable:
    """A kind of layer with the network's initialization, type and precision."""
    return functools.partial(
        kind,
        kernel_init=nn.initializers.normal(0.02),
        dtype=network.dtype,
        precision=network.precision,
    )


def smallest_shape(spec: DCGANSpec, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape of an image of ``shape`` after all levels; refuses one that they cannot halve."""
    if len(shape) != 3:
        raise ValueError(f"a DCGAN makes images: got examples of shape {shape}.")
    factor = 2 ** len(spec.multipliers)
    if shape[0] % factor or shape[1] % factor:
        raise ValueError(
            f"the {len(spec.multipliers)} levels of `multipliers` need a height and width that "
            f"{factor} divides: got images of {shape[0]}x{shape[1]}."
        )
    return shape[0] // factor, shape[1] // factor, spec.multipliers[-1] * spec.channels
