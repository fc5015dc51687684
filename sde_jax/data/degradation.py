"""Degradations of images, which make the pairs that conditional models learn from."""

from dataclasses import dataclass
from typing import Literal, Protocol

import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Image
from sde_jax.operators import LUMA


class Degradation(Protocol):
    """A deterministic map from images to images of equal height and width, in model coordinates."""

    def __call__(self, x: Image) -> Float[Array, "batch height width kept"]: ...


@dataclass(frozen=True, kw_only=True)
class Grey:
    """Removes colour: ``.299 red + .587 green + .114 blue``, one channel."""

    def __call__(self, x: Image) -> Float[Array, "batch height width 1"]:
        """Returns the image in grey.

        Raises:
          ValueError: if it does not have three channels.
        """
        if x.shape[-1] != len(LUMA):
            raise ValueError(f"`Grey` needs images of three channels: got shape {x.shape[1:]}.")
        return (x * jnp.asarray(LUMA, x.dtype)[None, None, None, :]).sum(axis=-1, keepdims=True)


@dataclass(frozen=True, kw_only=True)
class Smaller:
    """Removes detail: each square of ``factor`` pixels on a side takes its mean.

    Raises:
      ValueError: unless ``factor`` is at least 2.
    """

    factor: int = 4
    """Side of a square in pixels."""

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"`factor` must be at least 2: got factor={self.factor}.")

    def __call__(self, x: Image) -> Image:
        """Returns the image of constant squares.

        Raises:
          ValueError: if its size is not a multiple of the factor.
        """
        batch, height, width, channels = x.shape
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"`factor` must divide height and width of {height}x{width} images: got "
                f"factor={self.factor}."
            )
        squares = (height // self.factor, self.factor, width // self.factor, self.factor)
        blocks = x.reshape(batch, *squares, channels)
        means = blocks.mean(axis=(2, 4), keepdims=True)
        return jnp.broadcast_to(means, blocks.shape).reshape(x.shape)


@dataclass(frozen=True, kw_only=True)
class Half:
    """Replaces half of the image by 0, the middle of [-1, 1]."""

    kept: Literal["upper", "lower", "left", "right"] = "upper"
    """The half that is kept."""

    def __post_init__(self) -> None:
        if self.kept not in ("upper", "lower", "left", "right"):
            raise ValueError(f"`kept` must be upper, lower, left or right: got kept={self.kept!r}.")

    def __call__(self, x: Image) -> Image:
        """Returns the kept half, the smaller part of an odd number of rows or columns."""
        axis = 1 if self.kept in ("upper", "lower") else 2
        first = jnp.arange(x.shape[axis]) < x.shape[axis] // 2
        kept = first if self.kept in ("upper", "left") else first[::-1]
        return x * jnp.expand_dims(kept, [n for n in range(4) if n != axis]).astype(x.dtype)
