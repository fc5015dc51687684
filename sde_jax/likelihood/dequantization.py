"""Probabilities of discrete data, bounded by the density of noise around them."""

import math
from dataclasses import dataclass
from typing import Annotated, Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, Float, Keys, PerExample, PRNGKeyArray, as_examples
from sde_jax.likelihood.adaptive import Likelihood, LogLikelihoods
from sde_jax.likelihood.multistep import MultistepLikelihood
from sde_jax.randomness import each_key
from sde_jax.score import Score
from sde_jax.sde import LinearSDE
from sde_jax.validation import AboveZero, Positive, Spec, at_least, at_most

Draws = Annotated[int, at_least(1), at_most(10**4)]
"""A number of draws, each of which costs a measurement."""


class Dequantizer(Protocol):
    """Draws a state of an example whose values are the middles of bins."""

    def __call__(
        self, key: PRNGKeyArray, sde: LinearSDE, x: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
        """Returns a state in the bins, and the log density of drawing it."""
        ...


@dataclass(frozen=True, kw_only=True)
class UniformDequantization(Spec):
    """Spreads each value evenly over its bin: ``z = x + w (2 u - 1)``, ``u ~ U[0, 1)``.

    Theis et al. 2016 (arXiv:1511.01844), sec. 3.1, for models of dequantized data.
    """

    half_width: Positive
    """Half of the width of a bin, w, in model coordinates."""

    def __call__(
        self, key: PRNGKeyArray, sde: LinearSDE, x: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
        u = jax.random.uniform(key, x.shape, x.dtype, -1.0, 1.0)
        log_density = -x.size * math.log(2 * self.half_width)
        return x + self.half_width * u, jnp.asarray(log_density, x.dtype)


@dataclass(frozen=True, kw_only=True)
class TruncatedDequantization(Spec):
    """Adds the process's own noise at t_min, cut where the next bin begins.

    ::

        z = alpha x + sigma e,   e ~ N(0, 1) on (-b, b),   b = alpha w / sigma

    The model then meets states as it was trained on, if its data were not dequantized (Zheng et al.
    2023, arXiv:2305.03935, sec. 4.2). The bins of z do not overlap.
    """

    half_width: Positive
    """Half of the distance of neighbouring values, w, in model coordinates."""
    t_min: AboveZero
    """The time of the noise, at which the density must be measured."""

    def __call__(
        self, key: PRNGKeyArray, sde: LinearSDE, x: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
        t = jnp.asarray(self.t_min, x.dtype)
        alpha, sigma = sde.alpha(t), sde.sigma(t)
        bound = self.half_width * alpha / sigma
        noise = jax.random.truncated_normal(key, -bound, bound, x.shape, x.dtype)
        inside = jax.scipy.special.erf(bound / math.sqrt(2))
        densities = jax.scipy.stats.norm.logpdf(noise) - jnp.log(sigma * inside)
        return alpha * x + sigma * noise, densities.sum()


@dataclass(frozen=True, kw_only=True)
class DiscreteLikelihood(Spec):
    """Bounds log probabilities of discrete data by densities of drawn states.

    ::

        log P(k) >= E log (1 / K) sum over j = 1..K of p(z_j) / q(z_j | k)

    The z_j are independent draws of the dequantizer q in the bins of k. The bound rises with K to
    the logarithm of the density's integral over the bins (Burda et al. 2016, arXiv:1509.00519).

    All draws of an example share its probes. Their error then is nearly the same in each density
    and leaves the weights of the draws as they are. Independent probes would weigh errors, and
    overstate the probability.

    Raises:
      ValueError: when called, unless the examples are floating-point numbers with a key for each.
    """

    likelihood: Likelihood | MultistepLikelihood
    dequantizer: Dequantizer
    draws: Draws = 1
    """Number of draws, K, each of which costs a likelihood."""

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, x: Examples) -> LogLikelihoods:
        """Returns bounds for ``x``, the middles of bins; ``keys`` fix draws and probes."""
        x = as_examples("x", x)
        both = jax.vmap(jax.random.split, out_axes=1)(each_key(keys, len(x)))

        def draw(index: Array) -> tuple[PerExample, LogLikelihoods]:
            own = jax.vmap(jax.random.fold_in, (0, None))(both[0], index)
            z, log_q = jax.vmap(lambda key, x: self.dequantizer(key, sde, x))(own, x)
            found = self.likelihood(both[1], score, sde, z)
            return found.nats - log_q, found

        ratios, found = jax.lax.map(draw, jnp.arange(self.draws))
        nats = jax.scipy.special.logsumexp(ratios, axis=0) - math.log(self.draws)
        weights = jax.nn.softmax(ratios, axis=0)
        probe_stderr = draw_stderr = None
        if found.probe_stderr is not None:
            probe_stderr = (weights * found.probe_stderr).sum(axis=0)
        if self.draws > 1:
            draw_stderr = jnp.std(weights, axis=0, ddof=1) * math.sqrt(self.draws)
        return LogLikelihoods(
            nats, probe_stderr, found.nfe.sum(axis=0), found.converged.all(axis=0), draw_stderr
        )
