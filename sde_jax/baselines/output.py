"""What a decoder's output says of data."""

import math
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Key, PRNGKeyArray, PyTree, sum_except_batch
from sde_jax.data.scaling import ImageScaling
from sde_jax.randomness import unit_noise

__all__ = ["BernoulliOutput", "GaussianOutput", "OutputDistribution"]


class OutputDistribution(Protocol):
    """How a decoder's output, an array like the data, is read as ``p(x|z)``; a frozen spec."""

    @property
    def is_density(self) -> bool:
        """Whether `log_density` is one of the data, which can be compared and made into bits."""

    def init(self) -> PyTree:
        """Initial parameters of its own."""

    def log_density(
        self, params: PyTree, output: Float[Array, "batch *shape"], x: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch"]:
        """``log p(x|z)`` in nats, in model coordinates."""

    def mean(
        self, params: PyTree, output: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch *shape"]:
        """What to show for ``output``, in model coordinates."""

    def draw(
        self, params: PyTree, keys: Key[Array, "batch"], output: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch *shape"]:
        """A draw from ``p(x|z)`` for each key."""


@dataclass(frozen=True, kw_only=True)
class GaussianOutput:
    """``p(x|z) = N(output, scale^2)`` with one learned deviation ``least_scale + exp(log_scale)``.

    Rybkin et al. 2021 (arXiv:2006.13202). Learned, the deviation balances reconstruction and
    divergence without a weight.

    Raises:
      ValueError: unless ``least_scale`` is positive.
    """

    least_scale: float = 1e-3
    """What the deviation exceeds, in model coordinates, so that a perfect reconstruction has no
    infinite density: half of the deviation of what dequantizes 8-bit images."""

    def __post_init__(self) -> None:
        if not 0 < self.least_scale < math.inf:
            raise ValueError(f"`least_scale` must be positive: got {self.least_scale}.")

    @property
    def is_density(self) -> bool:
        """True."""
        return True

    def init(self) -> PyTree:
        """A deviation of about 1."""
        return {"log_scale": jnp.zeros(())}

    def scale(self, params: PyTree) -> Float[Array, ""]:
        """The deviation."""
        return self.least_scale + jnp.exp(params["log_scale"])

    def log_density(
        self, params: PyTree, output: Float[Array, "batch *shape"], x: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch"]:
        """``log N(x; output, scale^2)`` of each example."""
        scale = self.scale(params)
        return sum_except_batch(jax.scipy.stats.norm.logpdf((x - output) / scale) - jnp.log(scale))

    def mean(
        self, params: PyTree, output: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch *shape"]:
        """``output``."""
        return output

    def draw(
        self, params: PyTree, keys: Key[Array, "batch"], output: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch *shape"]:
        """``output + scale noise``."""
        return output + self.scale(params) * unit_noise(keys, output.shape[1:])


@dataclass(frozen=True, kw_only=True)
class BernoulliOutput:
    """Pixels that are black or white, white with probability ``sigmoid(output)``.

    An image of L grey levels stands for random ones of two, whose pixel is white with probability
    ``v = k / (L - 1)``, k being its level (stochastic binarization, Salakhutdinov and Murray 2008).
    The log density is the mean over these, the cross entropy

    ::

        sum v log sigmoid(output) + (1 - v) log sigmoid(-output)

    For L = 2 it is the log mass of the image and, as the two bins of a pixel in [-1, 1] are of unit
    width, its log density in model coordinates. For more levels it is a loss but no density: no
    bits follow from it, and nothing that a density says may be compared with it.

    Raises:
      ValueError: unless ``scaling`` is centered.
    """

    scaling: ImageScaling
    """That of the data, which tells the grey level of a dequantized pixel."""

    def __post_init__(self) -> None:
        if not self.scaling.centered:
            raise ValueError(
                f"`scaling` must be centered, with images in [-1, 1]: got {self.scaling}."
            )

    @property
    def is_density(self) -> bool:
        """Whether the data have two levels."""
        return self.scaling.levels == 2

    def init(self) -> PyTree:
        """None."""
        return {}

    def log_density(
        self, params: PyTree, output: Float[Array, "batch *shape"], x: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch"]:
        """The cross entropy of each image, negated."""
        white = self.scaling.to_unit(x)
        terms = white * jax.nn.log_sigmoid(output) + (1 - white) * jax.nn.log_sigmoid(-output)
        return sum_except_batch(terms)

    def mean(
        self, params: PyTree, output: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch *shape"]:
        """The image of grey level ``(L - 1) sigmoid(output)``, without dequantization."""
        return 2 * jax.nn.sigmoid(output) - 1

    def draw(
        self, params: PyTree, keys: Key[Array, "batch"], output: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch *shape"]:
        """An image of the levels 0 and L - 1, dequantized."""

        def one(key: PRNGKeyArray, output: Array) -> Array:
            key_white, key_place = jax.random.split(key)
            white = jax.random.bernoulli(key_white, jax.nn.sigmoid(output))
            place = jax.random.uniform(key_place, output.shape)
            return self.scaling.dequantize((self.scaling.levels - 1) * white, place)

        return jax.vmap(one)(keys, output)
