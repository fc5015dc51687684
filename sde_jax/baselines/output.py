"""Distributions of data given the output of a decoder."""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import (
    Array,
    Examples,
    Float,
    Keys,
    PerExample,
    PRNGKeyArray,
    PyTree,
    sum_except_batch,
)
from sde_jax.data.scaling import ImageScaling
from sde_jax.randomness import unit_noise


class OutputDistribution(Protocol):
    """The distribution ``p(x|z)`` given a decoder's output of the data's shape; a frozen spec."""

    @property
    def is_density(self) -> bool:
        """True if `log_density` is a log density of the data, which likelihoods need."""

    def init(self) -> PyTree:
        """Returns the initial parameters of the distribution."""

    def log_density(self, params: PyTree, output: Examples, x: Examples) -> PerExample:
        """Returns ``log p(x|z)`` in nats, in model coordinates."""

    def mean(self, params: PyTree, output: Examples) -> Examples:
        """Returns the example to show for ``output``, in model coordinates."""

    def draw(self, params: PyTree, keys: Keys, output: Examples) -> Examples:
        """Draws one example from ``p(x|z)`` for each key."""


@dataclass(frozen=True, kw_only=True)
class GaussianOutput:
    """``p(x|z) = N(output, scale^2)`` with one learned ``scale = scale_min + exp(log_scale)``.

    Rybkin et al. 2021 (arXiv:2006.13202). The learned scale balances reconstruction and divergence
    without a weight.

    Raises:
      ValueError: unless ``scale_min`` is positive.
    """

    is_density: ClassVar[bool] = True
    scale_min: float = 1e-3
    """Lower bound of the standard deviation, in model coordinates, which keeps the density of a
    perfect reconstruction finite. The default is half the deviation of 8-bit dequantization."""

    def __post_init__(self) -> None:
        if not 0 < self.scale_min < math.inf:
            raise ValueError(f"`scale_min` must be positive and finite: got {self.scale_min}.")

    def init(self) -> PyTree:
        """Returns the parameters of a scale of about 1."""
        return {"log_scale": jnp.zeros((), jnp.float32)}

    def scale(self, params: PyTree) -> Float[Array, ""]:
        """Returns the standard deviation."""
        return self.scale_min + jnp.exp(params["log_scale"])

    def log_density(self, params: PyTree, output: Examples, x: Examples) -> PerExample:
        """Returns ``log N(x; output, scale^2)`` of each example."""
        scale = self.scale(params)
        return sum_except_batch(jax.scipy.stats.norm.logpdf((x - output) / scale) - jnp.log(scale))

    def mean(self, params: PyTree, output: Examples) -> Examples:
        """Returns ``output``."""
        return output

    def draw(self, params: PyTree, keys: Keys, output: Examples) -> Examples:
        """Returns ``output + scale noise``."""
        return output + self.scale(params) * unit_noise(keys, output.shape[1:])


@dataclass(frozen=True, kw_only=True)
class BernoulliOutput:
    """Black or white pixels, white with probability ``sigmoid(output)``.

    An image of L grey levels is binarized at random: a pixel of level k is white with probability
    ``v = k / (L - 1)`` (stochastic binarization, Salakhutdinov and Murray 2008). The log density is
    the mean over binarizations, which is the negative cross entropy

    ::

        sum v log sigmoid(output) + (1 - v) log sigmoid(-output)

    For L = 2 it is the log mass of the image. It is also the log density in model coordinates,
    because the two bins of a pixel in [-1, 1] have unit width. For L > 2 it is a loss but not a
    density: it gives no bits per dimension and is not comparable with densities.

    Raises:
      ValueError: unless ``scaling`` is centered.
    """

    scaling: ImageScaling
    """Scaling of the data, which maps a dequantized pixel to its grey level."""

    def __post_init__(self) -> None:
        if not self.scaling.centered:
            raise ValueError(
                f"`scaling` must be centered, with images in [-1, 1]: got {self.scaling}."
            )

    @property
    def is_density(self) -> bool:
        """True if the data have two levels."""
        return self.scaling.levels == 2

    def init(self) -> PyTree:
        """Returns an empty dictionary: there are no parameters."""
        return {}

    def log_density(self, params: PyTree, output: Examples, x: Examples) -> PerExample:
        """Returns the negative cross entropy of each image, in nats."""
        white = self.scaling.to_unit(x)
        terms = white * jax.nn.log_sigmoid(output) + (1 - white) * jax.nn.log_sigmoid(-output)
        return sum_except_batch(terms)

    def mean(self, params: PyTree, output: Examples) -> Examples:
        """Returns the image of grey level ``(L - 1) sigmoid(output)``, without dequantization."""
        return 2 * jax.nn.sigmoid(output) - 1

    def draw(self, params: PyTree, keys: Keys, output: Examples) -> Examples:
        """Draws images of levels 0 and L - 1 and dequantizes them."""

        def draw_one(key: PRNGKeyArray, output: Array) -> Array:
            key_white, key_noise = jax.random.split(key)
            white = jax.random.bernoulli(key_white, jax.nn.sigmoid(output))
            noise = jax.random.uniform(key_noise, output.shape)
            return self.scaling.dequantize((self.scaling.levels - 1) * white, noise)

        return jax.vmap(draw_one)(keys, output)
