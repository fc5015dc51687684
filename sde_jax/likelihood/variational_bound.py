"""The variational bound of the log likelihood under a DDPM chain."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from jax.scipy.stats import norm

from sde_jax.arrays import (
    Array,
    Examples,
    Float,
    Int,
    Keys,
    PerExample,
    as_examples,
    sum_except_batch,
)
from sde_jax.randomness import each_key, step_noise
from sde_jax.score import Score
from sde_jax.sde import DDPMChain, LinearSDE
from sde_jax.validation import Spec, at_least

# The width in deviations of an unbounded bin, finite so that it can be differentiated.
_UNBOUNDED = 1e4


class VariationalBounds(NamedTuple):
    """Lower bounds of log likelihoods, in nats, and their terms.

    ::

        nats = decoder - prior - transitions.sum(axis=1)
    """

    nats: PerExample
    """At most ``log p(x)``, in expectation over the noise."""
    prior: PerExample
    """Divergence of the last level from the prior, ``L_T`` of Ho et al."""
    transitions: Float[Array, "batch levels-1"]
    """Divergence of the posterior of each level but the last from the model's step into it, level 0
    first, ``L_1, ..., L_{T-1}`` of Ho et al."""
    decoder: PerExample
    """``log p(x)`` given level 0, ``-L_0`` of Ho et al."""
    nfe: Int[Array, "batch"]
    """Evaluations of the score."""


class Decoder(Protocol):
    """Returns the log probability of data in model coordinates under a Gaussian."""

    def __call__(
        self, x: Float[Array, "*shape"], mean: Float[Array, "*shape"], deviation: Float[Array, ""]
    ) -> Float[Array, "*shape"]: ...


@dataclass(frozen=True, kw_only=True)
class GaussianDensity:
    """The Gaussian density, for continuous data such as dequantized images."""

    def __call__(
        self, x: Float[Array, "*shape"], mean: Float[Array, "*shape"], deviation: Float[Array, ""]
    ) -> Float[Array, "*shape"]:
        return norm.logpdf((x - mean) / deviation) - jnp.log(deviation)


@dataclass(frozen=True, kw_only=True)
class DiscretizedGaussian(Spec):
    """The probability of grey levels placed at ``2 k / (L - 1) - 1`` (Ho et al. 2020, eq. 13).

    The probability of a level is the Gaussian's mass of the bin around it; the bins of the lowest
    and the highest level are unbounded. For bits per dimension the log-determinant is 0.
    """

    levels: Annotated[int, at_least(2)] = 256
    """Number of grey levels L."""

    def __call__(
        self, x: Float[Array, "*shape"], mean: Float[Array, "*shape"], deviation: Float[Array, ""]
    ) -> Float[Array, "*shape"]:
        """Returns the log probability of the level of each dimension."""
        half = 1 / (self.levels - 1)
        low, high = (x - half - mean) / deviation, (x + half - mean) / deviation
        low = jnp.where(x < half - 1, high - _UNBOUNDED, low)
        high = jnp.where(x > 1 - half, low + _UNBOUNDED, high)
        # Taken in the lower tail, no probability is rounded to 1.
        above = low + high > 0
        low, high = jnp.where(above, -high, low), jnp.where(above, -low, high)
        log_low, log_high = log_ndtr(low), log_ndtr(high)
        return log_high + jnp.log(-jnp.expm1(log_low - log_high))


@dataclass(frozen=True, kw_only=True)
class VariationalBound:
    """Bounds log likelihoods under a DDPM chain (Ho et al. 2020, arXiv:2006.11239, eq. 5).

    With data x below the chain's levels 0, ..., N - 1::

        log p(x) >= E[log p(x | x_0) - KL(q(x_{N-1} | x) || N(0, 1))
                      - sum over i >= 1 of KL(q(x_{i-1} | x_i, x) || p(x_{i-1} | x_i))]

    The model's ``p(x_{i-1} | x_i)`` is Gaussian. Its mean is ``(x_i + b_i score) / sqrt(1 - b_i)``,
    its variance ``b_i`` or that of the posterior q, ``b_i sigma_{i-1}^2 / sigma_i^2``. Every term
    is computed: each divergence in closed form at one draw of x_i given x, with one evaluation of
    the score. The score must be that of the chain's levels, e.g. of a network whose
    ``noise_levels`` are the chain. All of it runs at the highest matmul precision, whatever the
    device's default.

    The posterior of the data given level 0 has no variance. The decoder has ``b_0`` instead or,
    with "posterior", the posterior variance of level 1, which the published code uses with ``b_i``,
    too. In the limit of many levels and for an exact score, with Euler's constant c = .577, ``b_i``
    makes the bound of a smooth density tight and loses ``(1 - c) / 2 = .21`` nats a dimension for
    separate points, such as grey levels. The posterior makes the bound tight for points and loses
    ``(c + 1 - log 2) / 2 = .44`` nats a dimension for a smooth density.

    Raises:
      ValueError: unless ``variance`` is "beta" or "posterior"; when called, unless the examples are
        floating-point numbers with a key for each.
    """

    chain: DDPMChain = DDPMChain()
    variance: Literal["beta", "posterior"] = "beta"
    """The variance of the model's steps: the chain's ``b_i`` or that of the posterior."""
    decoder: Decoder = GaussianDensity()

    def __post_init__(self) -> None:
        if self.variance not in ("beta", "posterior"):
            raise ValueError(
                f'`variance` must be "beta" or "posterior": got variance={self.variance!r}.'
            )

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, x: Examples) -> VariationalBounds:
        """Returns bounds for ``x``, in model coordinates; ``keys`` draw the noise of all levels."""
        x = as_examples("x", x)
        keys = each_key(keys, len(x))
        count, dimensions = self.chain.levels, math.prod(x.shape[1:])
        t = jnp.asarray(np.arange(count) / (count - 1), x.dtype)
        scale, variance, posterior = self.chain(sde, t, t)
        alpha, sigma = self.chain.alpha(sde, t), self.chain.sigma(sde, t)

        def visit(_: Array, level: tuple[Array, ...]) -> tuple[Array, Array]:
            index, t, alpha, sigma, scale, variance = level
            noise = step_noise(keys, index, x.shape[1:], x.dtype)
            xt = alpha * x + sigma * noise
            value = score(xt, t).astype(x.dtype)
            return (xt + variance * value) / scale, sum_except_batch((sigma * value + noise) ** 2)

        levels = (jnp.arange(count), t, alpha, sigma, scale, variance)
        with jax.default_matmul_precision("highest"):
            mean, errors = jax.lax.scan(visit, jnp.zeros_like(x), levels, reverse=True)

        reverse = variance
        if self.variance == "posterior":
            reverse = posterior.at[0].set(posterior[1])
        wider = 1 - posterior / reverse
        widths = -dimensions * (wider + jnp.log1p(-wider))
        offsets = (variance / (scale * sigma)) ** 2 / reverse
        transitions = 0.5 * (widths[1:, None] + offsets[1:, None] * errors[1:]).T
        signal = alpha[-1] ** 2
        squares = signal * sum_except_batch(x**2)
        prior = 0.5 * (squares - dimensions * (signal + jnp.log1p(-signal)))
        decoder = sum_except_batch(self.decoder(x, mean, jnp.sqrt(reverse[0])))
        nats = decoder - prior - transitions.sum(axis=1)
        return VariationalBounds(nats, prior, transitions, decoder, jnp.full(x.shape[:1], count))
