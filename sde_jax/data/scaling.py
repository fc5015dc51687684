"""Maps between the data's own values and model coordinates, with their log-determinants.

In D dimensions ``log p(data) = log p_model(x) + D * log_slope``, so log densities of the data need
no further offset.
"""

import dataclasses
import math
from typing import ClassVar, Protocol

import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Int

Examples = Array | np.ndarray


class Scaling(Protocol):
    """A map between data and model coordinates, as evaluation needs it: a frozen spec."""

    @property
    def dequantized(self) -> bool:
        """Says whether integers are spread over their bins."""

    @property
    def in_bits(self) -> bool:
        """Says whether results are stated in bits per dimension; the others are in nats."""

    def log_slope(self, x: Examples) -> float | Examples:
        """Returns ``log |dx / d data|`` per dimension of each example, in nats."""

    def to_unit(self, x: Float[Array, "..."]) -> Examples:
        """Returns the data of ``x`` in its unit: images in [0, 1], other numbers as they are."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageScaling:
    """Images of whole-numbered grey levels, dequantized uniformly to [-1, 1], or to [0, 1].

    A level ``k`` in 0..L-1 becomes ``x = 2 (k + u) / L - 1`` with ``u ~ U[0, 1)``, or
    ``(k + u) / L`` if not `centered` (Theis et al., arXiv:1511.01844, section 3.1): the mass of a
    level is the density's integral over its unit bin. For L = 256 the log-determinant is the 7 bits
    of the published convention, or 8 bits in [0, 1].

    Raises:
      ValueError: if ``levels`` is not in 2..65536.
    """

    levels: int = 256
    """Number of grey levels L: 256 for 8-bit images."""
    centered: bool = True
    """Model coordinates are [-1, 1] if true, else [0, 1], as in published VE models."""

    def __post_init__(self) -> None:
        if not 2 <= self.levels <= 65536:
            raise ValueError(f"`levels` must be in 2..65536: got {self.levels}. 8-bit images: 256.")

    dequantized: ClassVar[bool] = True
    in_bits: ClassVar[bool] = True

    def log_slope(self, x: Examples) -> float:
        """Returns `log_det_per_dimension`, which is that of every image."""
        return self.log_det_per_dimension

    @property
    def log_det_per_dimension(self) -> float:
        """``log(2 / L)``, or ``log(1 / L)`` if not centered."""
        return math.log(self.width / self.levels)

    def dequantize(self, levels: Int[Array, "..."], u: Float[Array, "..."]) -> Float[Array, "..."]:
        """Returns ``2 (levels + u) / L - 1``, or ``(levels + u) / L`` if not centered, in float32.

        ``u`` in [0, 1) is clipped by the rounding error of this map and its inverse at both ends
        (6e-5 for L = 256), so that ``to_levels`` returns exactly the original level.
        """
        rounding = self.levels * 2.0**-22
        u = jnp.clip(u, rounding, 1.0 - rounding)
        return (levels.astype(jnp.float32) + u) * (self.width / self.levels) + self.lowest

    def place(self, levels: Int[Array, "..."]) -> Float[Array, "..."]:
        """Returns ``2 levels / (L - 1) - 1``, or ``levels / (L - 1)`` if not centered: no noise."""
        return levels.astype(jnp.float32) * (self.width / (self.levels - 1)) + self.lowest

    def from_unit(self, unit: Float[Array, "..."]) -> Float[Array, "..."]:
        """Returns the middle of the bin of a level in [0, 1], ``dequantize((L - 1) unit, 1/2)``.

        `to_unit` inverts it, to the nearest level.
        """
        return (unit * (self.levels - 1) + 0.5) * (self.width / self.levels) + self.lowest

    def to_unit_unrounded(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Inverts `from_unit`, clipped to [0, 1]."""
        levels = (x - self.lowest) * (self.levels / self.width)
        return jnp.clip((levels - 0.5) / (self.levels - 1), 0, 1)

    def to_levels(self, x: Float[Array, "..."]) -> Int[Array, "..."]:
        """Returns the level that was dequantized to ``x``.

        This is ``floor(L (x + 1) / 2)``, or ``floor(L x)`` if not centered, clipped to 0..L-1.
        """
        levels = jnp.floor((x - self.lowest) * (self.levels / self.width))
        return jnp.clip(levels, 0, self.levels - 1).astype(jnp.int32)

    @property
    def lowest(self) -> float:
        """Lower end of model coordinates."""
        return -1.0 if self.centered else 0.0

    @property
    def width(self) -> float:
        """Length of the range of model coordinates."""
        return 2.0 if self.centered else 1.0

    def to_unit(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Returns ``to_levels(x) / (L - 1)``: images in [0, 1] without dequantization noise."""
        return self.to_levels(x) / jnp.float32(self.levels - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PointScaling:
    """The identity: model coordinates of points are their own."""

    dequantized: ClassVar[bool] = False
    in_bits: ClassVar[bool] = True

    def log_slope(self, x: Examples) -> float:
        """Returns zero."""
        return 0.0

    def to_unit(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Returns ``x``."""
        return x
