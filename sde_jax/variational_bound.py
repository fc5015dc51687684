"""The variational bound of DDPM: what its chain, run backwards, gives an example at least."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from jax.scipy.stats import norm

from sde_jax.arrays import Array, Float, Int, Key, sum_except_batch
from sde_jax.score import Score
from sde_jax.sde import DDPMChain, LinearSDE

__all__ = [
    "Decoder",
    "DiscretizedGaussian",
    "GaussianDensity",
    "VariationalBound",
    "VariationalBounds",
]

# In deviations: the width of a bin without an end. Finite, so that it can be differentiated.
_ENDLESS = 1e4


class VariationalBounds(NamedTuple):
    """Lower bounds of log likelihoods, in nats, and the terms that they consist of.

    ::

        nats = decoder - prior - transitions.sum(axis=1)
    """

    nats: Float[Array, "batch"]
    """At most ``log p(x)``, in expectation over the noise."""
    prior: Float[Array, "batch"]
    """Divergence of the last level from the prior, ``L_T`` of Ho et al."""
    transitions: Float[Array, "batch levels-1"]
    """Divergence of the step into each level but the last from the model's, level 0 first; their
    ``L_1, ..., L_{T-1}``."""
    decoder: Float[Array, "batch"]
    """``log p(x)`` given level 0, their ``-L_0``: that of the decoder."""
    nfe: Int[Array, "batch"]
    """Evaluations of the score."""


class Decoder(Protocol):
    """The log probability of data in model coordinates, given a Gaussian about them."""

    def __call__(
        self, x: Float[Array, "*shape"], mean: Float[Array, "*shape"], deviation: Float[Array, ""]
    ) -> Float[Array, "*shape"]: ...


@dataclass(frozen=True, kw_only=True)
class GaussianDensity:
    """The density of continuous data, such as dequantized images: that of the Gaussian."""

    def __call__(
        self, x: Float[Array, "*shape"], mean: Float[Array, "*shape"], deviation: Float[Array, ""]
    ) -> Float[Array, "*shape"]:
        """The log density of each dimension."""
        return norm.logpdf((x - mean) / deviation) - jnp.log(deviation)


@dataclass(frozen=True, kw_only=True)
class DiscretizedGaussian:
    """The probability of grey levels placed at ``2 k / (L - 1) - 1`` (Ho et al. 2020, eq. 13).

    A level has what the Gaussian has nearer to it than to any other; the lowest and the highest
    have all that is beyond them, too. The bits per dimension of such probabilities have a
    log-determinant of 0.

    Raises:
      ValueError: unless ``levels`` is at least 2.
    """

    levels: int = 256
    """Number of grey levels L."""

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise ValueError(f"`levels` must be at least 2: got levels={self.levels}.")

    def __call__(
        self, x: Float[Array, "*shape"], mean: Float[Array, "*shape"], deviation: Float[Array, ""]
    ) -> Float[Array, "*shape"]:
        """The log probability of each dimension's level."""
        half = 1 / (self.levels - 1)
        low, high = (x - half - mean) / deviation, (x + half - mean) / deviation
        low = jnp.where(x < half - 1, high - _ENDLESS, low)
        high = jnp.where(x > 1 - half, low + _ENDLESS, high)
        # In the lower tail of the two, no probability is rounded to 1.
        above = low + high > 0
        low, high = jnp.where(above, -high, low), jnp.where(above, -low, high)
        log_low, log_high = log_ndtr(low), log_ndtr(high)
        return log_high + jnp.log(-jnp.expm1(log_low - log_high))


@dataclass(frozen=True, kw_only=True)
class VariationalBound:
    """The bound of the log likelihood of a DDPM chain (Ho et al. 2020, arXiv:2006.11239, eq. 5).

    With data x below the chain's levels 0, ..., N - 1::

        log p(x) >= E[log p(x | x_0) - KL(q(x_{N-1} | x) || N(0, 1))
                      - sum over i >= 1 of KL(q(x_{i-1} | x_i, x) || p(x_{i-1} | x_i))]

    The model's ``p(x_{i-1} | x_i)`` is Gaussian, of mean ``(x_i + b_i score) / sqrt(1 - b_i)`` and
    of variance ``b_i`` or that of the posterior q, ``b_i sigma_{i-1}^2 / sigma_i^2``. Every term is
    there, each divergence in closed form at one draw of x_i given x, for one evaluation of the
    score, which is to be that of the chain's levels, as of a network with the chain for its
    ``noise_levels``. All of it runs at the highest matmul precision, whatever the device's default.

    From level 0 to the data the posterior has no variance. The decoder has ``b_0`` there or, with
    "posterior", the posterior's of level 1, as in the published code (which has the latter with
    ``b_i``, too). In the limit of many levels, with Euler's constant c = .577 and an exact score,
    ``b_i`` makes the bound of a smooth density tight and loses ``(1 - c) / 2 = .21`` nats a
    dimension of separate points, such as grey levels; the posterior makes that of points tight and
    loses ``(c + 1 - log 2) / 2 = .44`` nats a dimension of a smooth density.

    Raises:
      ValueError: unless ``variance`` is "beta" or "posterior".
    """

    chain: DDPMChain = DDPMChain()
    variance: Literal["beta", "posterior"] = "beta"
    """Variance of the model's steps: the chain's own ``b_i``, or the posterior's given the data."""
    decoder: Decoder = GaussianDensity()

    def __post_init__(self) -> None:
        if self.variance not in ("beta", "posterior"):
            raise ValueError(
                f'`variance` must be "beta" or "posterior": got variance={self.variance!r}.'
            )

    def __call__(
        self,
        keys: Key[Array, "batch"],
        score: Score,
        sde: LinearSDE,
        x: Float[Array, "batch *shape"],
    ) -> VariationalBounds:
        """Bounds for ``x``, in model coordinates; one key each, for the noise at all levels."""
        count, dimensions = self.chain.levels, math.prod(x.shape[1:])
        t = jnp.asarray(np.arange(count) / (count - 1), jnp.result_type(float))
        scale, variance, posterior = self.chain(sde, t, t)
        alpha, sigma = self.chain.alpha(sde, t), self.chain.sigma(sde, t)

        def visit(_: Array, level: tuple[Array, ...]) -> tuple[Array, Array]:
            index, t, alpha, sigma, scale, variance = level
            noise = _noise(keys, index, x.shape[1:])
            xt = alpha * x + sigma * noise
            value = score(xt, t)
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


def _noise(keys: Key[Array, "batch"], index: Array, shape: tuple[int, ...]) -> Array:
    """Unit Gaussian noise of one level, for each key."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, index), shape))(keys)
