"""Gaussian random fields of a known spectrum on one, two or three axes."""

import dataclasses
import functools
import itertools
import math
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import PRNGKeyArray
from sde_jax.data.synthetic import Distribution
from sde_jax.data.transform import Batch
from sde_jax.validation import FINITE, Positive, Rule, require

MOST_PIXELS = 4096
"""Largest number of pixels: the covariance is a dense matrix."""

_SIZES = Rule("be one to three sizes of at least 1", lambda v: 1 <= len(v) <= 3 and min(v) >= 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianField(Distribution):
    """A stationary Gaussian field of mean 0 and variance 1, of one channel.

    Its power at the angular frequency k, in radians per pixel, on d axes is that of Matern fields
    (Whittle 1954)::

        P(k)  is proportional to  (1 + (length |k|)^2) ^ -(smoothness + d / 2)

    It is a window of a periodic field of twice the size on every axis (circulant embedding,
    Dietrich and Newsam 1997), so opposite edges are not neighbours.

    Raises:
      ValueError: if a field breaks its rule, or there are more than 4096 pixels.
    """

    sizes: Annotated[tuple[int, ...], _SIZES] = (256,)
    """Number of pixels on each axis."""

    length: Annotated[float, FINITE] = 8.0
    """Correlation length in pixels."""

    smoothness: Positive = 0.5
    """The order nu; 1/2 is an exponential covariance, and larger ones are smoother."""

    def __post_init__(self) -> None:
        super().__post_init__()
        few = math.prod(self.sizes) <= MOST_PIXELS
        require(self, "sizes", few, f"have at most {MOST_PIXELS} pixels together")

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, and one channel."""
        return (*self.sizes, 1)

    @property
    def entropy(self) -> float:
        """Differential entropy in nats, ``D / 2 log(2 pi e) + log det C / 2``."""
        dimensions = math.prod(self.sizes)
        return 0.5 * dimensions * math.log(2 * math.pi * math.e) + _log_scale(self)

    def covariance(self) -> np.ndarray:
        """Returns the covariance C of the pixels in row-major order, ``[D, D]`` in float64."""
        torus = [2 * size for size in self.sizes]
        angles = np.meshgrid(*(2 * np.pi * np.fft.fftfreq(size) for size in torus), indexing="ij")
        squares = self.length**2 * sum(angle**2 for angle in angles)
        power = (1 + squares) ** -(self.smoothness + len(torus) / 2)
        by_distance = np.fft.ifftn(power).real * power.size / power.sum()
        pixels = np.array(list(itertools.product(*map(range, self.sizes))))
        distance = pixels[:, None] - pixels[None]
        return by_distance[tuple(np.moveaxis(distance, -1, 0))]

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Returns the exact log density in nats of examples ``[count, *sizes, 1]``, in float64."""
        flat = np.asarray(x, np.float64).reshape(len(x), -1)
        white = np.linalg.solve(_factor(self), flat.T)
        constant = 0.5 * len(white) * math.log(2 * math.pi) + _log_scale(self)
        return -0.5 * (white**2).sum(axis=0) - constant

    def sample(self, key: PRNGKeyArray) -> Batch:
        """Returns one field ``[*sizes, 1]``, without a label."""
        factor = jnp.asarray(_factor(self), jnp.float32)
        noise = jax.random.normal(key, (len(factor),))
        return Batch(jnp.matmul(factor, noise, precision="highest").reshape(self.shape), None)


@functools.lru_cache(maxsize=8)
def _factor(field: GaussianField) -> np.ndarray:
    """Returns the Cholesky factor of the covariance."""
    return np.linalg.cholesky(field.covariance())


def _log_scale(field: GaussianField) -> float:
    """Returns half the log-determinant of the covariance."""
    return float(np.log(np.diag(_factor(field))).sum())
