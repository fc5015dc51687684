"""The map between points of a box and model coordinates without bounds."""

import dataclasses
import math
from typing import ClassVar

import numpy as np
from scipy.special import ndtr, ndtri

from sde_jax.arrays import Array, Float, PerExample
from sde_jax.validation import Spec, require


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxScaling(Spec):
    """Maps the box ``low < d < high`` to all numbers: ``x = Phi^-1((d - low) / (high - low))``.

    Phi is the distribution function of the unit Gaussian, so uniform data become unit Gaussian, and
    every ``x`` is the image of a point in the box. In nats,

    ::

        log p(d) = log p(x) - sum over coordinates of (log (high - low) + log phi(x))

    Raises:
      ValueError: unless ``low`` and ``high`` have one length, and each low lies below its high.
    """

    low: tuple[float, ...]
    """Lower bound of each coordinate."""
    high: tuple[float, ...]
    """Upper bound of each coordinate."""

    dequantized: ClassVar[bool] = False
    in_bits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = len(self.low) == len(self.high) > 0
        fits = fits and all(low < high for low, high in zip(self.low, self.high, strict=True))
        require(self, "low high", fits, "be bounds of each coordinate, with `low` below `high`")

    @property
    def widths(self) -> np.ndarray:
        """Width of the box in each coordinate."""
        return np.subtract(self.high, self.low)

    def to_model(self, data: Float[np.ndarray, "batch size"]) -> np.ndarray:
        """Returns float32 model coordinates; those of points outside the box are not finite."""
        share = (np.asarray(data, np.float64) - self.low) / self.widths
        return np.asarray(ndtri(share), np.float32)

    def to_unit(self, x: Float[Array | np.ndarray, "batch size"]) -> np.ndarray:
        """Inverts the scaling, in float64."""
        return np.asarray(self.low + self.widths * ndtr(np.asarray(x, np.float64)))

    def log_slope(self, x: Float[Array | np.ndarray, "batch size"]) -> PerExample | np.ndarray:
        """Returns ``log |dx / d data|`` of each example, in nats per dimension.

        Numpy and JAX arrays stay what they are, so that it can be differentiated.
        """
        constant = 0.5 * math.log(2 * math.pi) - float(np.log(self.widths).mean())
        return constant + 0.5 * (x**2).mean(axis=1)
