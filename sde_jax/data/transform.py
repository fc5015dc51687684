"""Transforms of stored rows into examples, applied on the devices."""

import dataclasses
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Int, PRNGKeyArray
from sde_jax.data.scaling import ImageScaling


class Batch(NamedTuple):
    """Examples as the model sees them."""

    x: Float[Array, "batch *shape"]
    """Model coordinates: images in [-1, 1] or [0, 1], dequantized; points as they are."""

    label: Int[Array, "batch"] | None
    """Class of each example, if the data has classes."""

    condition: Float[Array, "batch size"] | None = None
    """Conditioning vector of each example in its own units, if the data has such."""


class Transform(Protocol):
    """A hashable spec that makes an example from a row and a key."""

    def sample(self, key: PRNGKeyArray, *row: Any, **unused: Any) -> Batch:
        """Returns one example, without the batch dimension, with its label if it has one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DequantizeAndFlip:
    """Puts a uint8 image in model coordinates."""

    scaling: ImageScaling = ImageScaling()
    """The grey levels and the model coordinates."""

    flip: bool = False
    """Mirrors the image left to right with probability one half."""

    dequantize: bool = True
    """Spreads each grey level over its bin. Otherwise `ImageScaling.place` places it."""

    @property
    def for_evaluation(self) -> "DequantizeAndFlip":
        """The same transform for densities, which need dequantized images: it never mirrors."""
        return dataclasses.replace(self, flip=False, dequantize=True)

    def sample(
        self,
        key: PRNGKeyArray,
        image: Int[Array, "height width channels"],
        label: Int[Array, ""] | None = None,
        condition: Float[Array, "size"] | None = None,
    ) -> Batch:
        """Returns the image in model coordinates, with its label and vector."""
        key_noise, key_flip = jax.random.split(key)
        if self.flip:
            image = jnp.where(jax.random.bernoulli(key_flip), image[:, ::-1], image)
        if not self.dequantize:
            return Batch(self.scaling.place(image), label, condition)
        noise = jax.random.uniform(key_noise, image.shape, jnp.float32)
        return Batch(self.scaling.dequantize(image, noise), label, condition)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dequantize:
    """Spreads the values of channels over their bins: a row in model coordinates becomes
    ``row + steps u``, ``u ~ U[0, 1)``."""

    steps: tuple[float, ...] = ()
    """Width of the bins of each channel, zero for continuous ones; empty if all are."""

    def sample(
        self,
        key: PRNGKeyArray,
        row: Float[Array, "*shape channels"],
        label: Int[Array, ""] | None = None,
        condition: Float[Array, "size"] | None = None,
    ) -> Batch:
        """Returns the row, with its label and vector."""
        if not any(self.steps):
            return Batch(row, label, condition)
        steps = jnp.asarray(self.steps, jnp.float32).reshape((1,) * (row.ndim - 1) + (-1,))
        noise = jax.random.uniform(key, row.shape, jnp.float32)
        return Batch(row + steps * noise, label, condition)
