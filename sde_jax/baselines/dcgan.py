"""Convolutional generator and discriminator of DCGAN, for images of any size."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Image, PerExample
from sde_jax.baselines.checks import check_image
from sde_jax.nets.blocks import ACTIVATIONS, GroupNorm
from sde_jax.nets.spec import NetworkModule
from sde_jax.validation import GroupWidth, Multipliers, Spec


@dataclass(frozen=True, kw_only=True)
class DCGANSpec(Spec):
    """Hyperparameters of the two networks, which mirror each other.

    Radford et al. 2016 (arXiv:1511.06434), section 3, with 4x4 kernels: the stride divides their
    size, which avoids checkerboard artifacts. All layers except the first and the last are
    normalized, over groups of channels of one example instead of over the batch. Samples, scores
    and gradient penalties therefore do not depend on other examples. Weights are initialized from
    ``N(0, .02^2)``.

    Raises:
      ValueError: if a field is out of range.
    """

    channels: GroupWidth = 64
    """Width of the level closest to the image."""
    multipliers: Multipliers = (1, 2, 4)
    """Width of each level in multiples of ``channels``, starting at the image. Each level halves
    height and width. The published network for 64x64 images has (1, 2, 4, 8) and 128 channels."""

    def build_generator(self) -> "DCGANGenerator":
        """Builds the generator."""
        return DCGANGenerator(self)

    def build_discriminator(self) -> "DCGANDiscriminator":
        """Builds the discriminator."""
        return DCGANDiscriminator(self)

    def smallest_shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Returns the shape of the last level for images of ``shape``.

        Raises:
          ValueError: if the examples are not images, or the levels cannot halve them.
        """
        levels = len(self.multipliers)
        check_image(shape, levels, "multipliers")
        return shape[0] >> levels, shape[1] >> levels, self.multipliers[-1] * self.channels


class DCGANGenerator(NetworkModule):
    """Generator of images in (-1, 1) from latents.

    Called as ``(latent, shape=shape)``, with ``latent`` of shape ``[batch, dimension]`` and
    ``shape`` the shape of one image; returns float32 of shape ``[batch, *shape]``. Its layers are a
    dense layer to the smallest image, one transposed convolution of stride 2 per level, each after
    ``relu(norm(h))``, and ``tanh``.

    Raises:
      ValueError: if ``shape`` is not an image, or the levels cannot halve it.
    """

    spec: DCGANSpec

    @nn.compact
    def __call__(self, latent: Float[Array, "batch latent"], *, shape: tuple[int, ...]) -> Image:
        spec = self.spec
        smallest = spec.smallest_shape(shape)
        h = layer(nn.Dense, self)(math.prod(smallest))(latent)
        h = h.reshape(len(latent), *smallest)
        widths = [multiplier * spec.channels for multiplier in spec.multipliers[:-1]]
        for width in (*reversed(widths), shape[-1]):
            h = nn.relu(GroupNorm(dtype=self.dtype)(h))
            h = layer(nn.ConvTranspose, self)(width, (4, 4), (2, 2))(h)
        return nn.tanh(h.astype(jnp.float32))


class DCGANDiscriminator(NetworkModule):
    """Discriminator with one score for each image, the logit of being real.

    Called as ``(x)``, with ``x`` of shape ``[batch, height, width, channels]``; returns float32 of
    shape ``[batch]``. Its layers are one convolution of stride 2 per level, each followed by
    ``norm`` (except the first) and leaky relu of slope .2, and a dense layer over all pixels.

    Raises:
      ValueError: if the examples are not images, or the levels cannot halve them.
    """

    spec: DCGANSpec

    @nn.compact
    def __call__(self, x: Image) -> PerExample:
        self.spec.smallest_shape(x.shape[1:])
        h = x
        for level, multiplier in enumerate(self.spec.multipliers):
            h = layer(nn.Conv, self)(multiplier * self.spec.channels, (4, 4), (2, 2))(h)
            h = ACTIVATIONS["lrelu"](GroupNorm(dtype=self.dtype)(h) if level else h)
        score = layer(nn.Dense, self)(1)(h.reshape(len(h), -1))
        return score.astype(jnp.float32).reshape(-1)


def layer(kind: type[nn.Module], network: NetworkModule) -> Callable:
    """Returns a type of layer with the network's initialization, type and precision."""
    return functools.partial(kind, kernel_init=nn.initializers.normal(0.02), **network.numerics)
