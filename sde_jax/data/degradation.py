"""What is left of an image: the pairs that conditional models learn from."""

from dataclasses import dataclass
from typing import Literal, Protocol

import jax.numpy as jnp

from sde_jax.arrays import Array, Float
from sde_jax.operators import LUMA

__all__ = ["Degradation", "Grey", "Half", "Smaller"]

Image = Float[Array, "batch height width channels"]


class Degradation(Protocol):
    """A deterministic map of images, in model coordinates, to images of their height and width."""

    def __call__(self, x: Image) -> Float[Array, "batch height width kept"]: ...


@dataclass(frozen=True, kw_only=True)
class Grey:
    """Colour is lost: ``.299 red + .587 green + .114 blue``, one channel."""

    def __call__(self, x: Image) -> Float[Array, "batch height width 1"]:
        """The image in grey.

        Raises:
          ValueError: if it has not three channels.
        """
        if x.shape[-1] != len(LUMA):
            raise ValueError(f"`Grey` needs images of three channels: got shape {x.shape[1:]}.")
        return (x * jnp.asarray(LUMA, x.dtype)[None, None, None, :]).sum(axis=-1, keepdims=True)


@dataclass(frozen=True, kw_only=True)
class Smaller:
    """Detail is lost: means of squares of ``factor`` pixels on a side, each in all its pixels.

    Raises:
      ValueError: unless ``factor`` is at least 2.
    """

    factor: int = 4
    """How many times smaller the image would be."""

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"`factor` must be at least 2: got factor={self.factor}.")

    def __call__(self, x: Image) -> Image:
        """The image of constant squares.

        Raises:
          ValueError: if its size is no multiple of the factor.
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
    """Half of the image is lost, and 0 in its place, the middle of [-1, 1]."""

    kept: Literal["upper", "lower", "left", "right"] = "upper"
    """The half that stays."""

    def __post_init__(self) -> None:
        if self.kept not in ("upper", "lower", "left", "right"):
            raise ValueError(f"`kept` must be upper, lower, left or right: got kept={self.kept!r}.")

    def __call__(self, x: Image) -> Image:
        """The half that stays, which has the smaller part of an odd number of rows or columns."""
        axis = 1 if self.kept in ("upper", "lower") else 2
        place, size = jnp.arange(x.shape[axis]), x.shape[axis]
        first = place < size // 2
        stays = first if self.kept in ("upper", "left") else first[::-1]
        return x * jnp.expand_dims(stays, [n for n in range(4) if n != axis]).astype(x.dtype)
