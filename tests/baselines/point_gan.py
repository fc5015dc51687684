"""Multilayer perceptrons that generate and discriminate points."""

import math
from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float
from sde_jax.nets.blocks import ACTIVATIONS

__all__ = ["PointDiscriminator", "PointGANSpec", "PointGenerator"]


@dataclass(frozen=True, kw_only=True)
class PointGANSpec:
    """The shape of a generator and a discriminator of points.

    Raises:
      ValueError: if a field is not positive.
    """

    width: int = 128
    """Width of every hidden layer."""
    depth: int = 3
    """Number of hidden layers."""

    def __post_init__(self) -> None:
        for field in ("width", "depth"):
            if getattr(self, field) < 1:
                raise ValueError(f"`{field}` must be at least 1: got {getattr(self, field)}.")

    def build_generator(self) -> "PointGenerator":
        """The generator of this shape."""
        return PointGenerator(self)

    def build_discriminator(self) -> "PointDiscriminator":
        """The discriminator of this shape."""
        return PointDiscriminator(self)


class PointGenerator(nn.Module):
    """Points from latents.

    Called as ``(latent, shape=shape)``, ``latent`` of shape ``[batch, dimension]`` and ``shape``
    that of one point; returns float32 of shape ``[batch, *shape]``. Hidden layers with relu, and a
    product.

    Attributes:
      spec: the shape of the network.
      dtype: type of the computation; parameters and output are float32.
      precision: precision of every product; None follows ``jax.default_matmul_precision``.
    """

    spec: PointGANSpec
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(
        self, latent: Float[Array, "batch latent"], *, shape: tuple[int, ...]
    ) -> Float[Array, "batch *shape"]:
        h = latent
        for _ in range(self.spec.depth):
            h = nn.relu(nn.Dense(self.spec.width, dtype=self.dtype, precision=self.precision)(h))
        h = nn.Dense(math.prod(shape), dtype=self.dtype, precision=self.precision)(h)
        return h.astype(jnp.float32).reshape(-1, *shape)


class PointDiscriminator(nn.Module):
    """One score for each point: positive for what looks real.

    Called as ``(x)``, ``x`` of shape ``[batch, dimension]``; returns float32 of shape ``[batch]``,
    without a sigmoid. Hidden layers with leaky relu of slope .2, and a product.

    Attributes:
      spec: the shape of the network.
      dtype: type of the computation; parameters and output are float32.
      precision: precision of every product; None follows ``jax.default_matmul_precision``.
    """

    spec: PointGANSpec
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    @nn.compact
    def __call__(self, x: Float[Array, "batch dimension"]) -> Float[Array, "batch"]:
        h = x
        for _ in range(self.spec.depth):
            h = nn.Dense(self.spec.width, dtype=self.dtype, precision=self.precision)(h)
            h = ACTIVATIONS["lrelu"](h)
        score = nn.Dense(1, dtype=self.dtype, precision=self.precision)(h)
        return score.astype(jnp.float32).reshape(-1)
