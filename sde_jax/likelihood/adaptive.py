"""Exact likelihoods by the change of variables along the probability flow."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import (
    Array,
    Bool,
    Examples,
    Float,
    Int,
    Keys,
    PRNGKeyArray,
    as_examples,
    precision_of,
)
from sde_jax.likelihood.results import LogLikelihoods
from sde_jax.ode import AdaptiveSolver, FlowSolution
from sde_jax.randomness import draw_prior, each_key, split_keys
from sde_jax.score import Score, UnitFlow
from sde_jax.sde import LinearSDE
from sde_jax.validation import BelowOne, Spec, at_least, at_most


class Divergence(Protocol):
    """Estimates the trace of a Jacobian J from products ``v.J v``."""

    def vectors(self, key: PRNGKeyArray, dimension: int) -> Float[Array, "probes terms dimension"]:
        """Returns vectors v; the sum of ``v.J v`` over the terms of a probe estimates the trace."""
        ...

    def stderr(self, estimates: Float[Array, "probes"]) -> Float[Array, ""] | None:
        """Returns the standard error of the mean of one number from each probe; None if unknown."""
        ...


@dataclass(frozen=True, kw_only=True)
class Hutchinson(Spec):
    """Estimates the trace by ``v.J v`` without bias (Hutchinson 1990; Song et al. app. D.2).

    A probe is fixed during a solve, since a new one would look like an error to the solver.
    """

    probes: Annotated[int, at_least(1), at_most(10**4)] = 1
    """Independent probes of each example; two or more give a standard error."""
    gaussian: bool = False
    """Whether to draw Gaussian probes instead of random signs, whose variance is lower."""

    def vectors(self, key: PRNGKeyArray, dimension: int) -> Float[Array, "probes 1 dimension"]:
        """Draws one vector for each probe."""
        draw = jax.random.normal if self.gaussian else jax.random.rademacher
        return draw(key, (self.probes, 1, dimension), jnp.result_type(float))

    def stderr(self, estimates: Float[Array, "probes"]) -> Float[Array, ""] | None:
        """Returns the standard error over the probes, or None for a single probe."""
        if self.probes == 1:
            return None
        return jnp.std(estimates, ddof=1) / math.sqrt(self.probes)


@dataclass(frozen=True, kw_only=True)
class ExactTrace:
    """Computes the trace itself by one Jacobian-vector product for each dimension."""

    def vectors(self, key: PRNGKeyArray, dimension: int) -> Float[Array, "1 dimension dimension"]:
        """Returns the unit vectors as terms of one probe."""
        return jnp.eye(dimension)[None]

    def stderr(self, estimates: Float[Array, "1"]) -> Float[Array, ""]:
        """Returns zero."""
        return jnp.zeros_like(estimates[0])


@dataclass(frozen=True, kw_only=True)
class Likelihood(Spec):
    """Computes log densities under the probability flow (Song et al. 2021, eq. 39).

    ::

        log p(x(t_min)) = log N(x(1); 0, prior_scale^2) + integral of div f over [t_min, 1]

    with ``f = a x - g^2 score / 2`` (Chen et al. 2018), in the variables of `UnitFlow`. Each
    example is taken as a state at t_min and solved with its own step size. One forward-mode pass
    gives drift and divergence. All of it runs at the highest matmul precision, whatever the
    device's default, and in the type of the examples.

    The density can be differentiated in reverse mode, with respect to examples, parameters and
    condition: the keys fix the probes. Memory is that of `AdaptiveSolver`.

    Raises:
      ValueError: when called, unless the examples are floating-point numbers with a key for each;
        if differentiated in forward mode.
    """

    solver: AdaptiveSolver = AdaptiveSolver()
    t_min: BelowOne = 1e-5
    """Where the flow starts; the density is that of the data noised up to this time."""
    divergence: Divergence = Hutchinson()

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, x: Examples) -> LogLikelihoods:
        """Returns log densities of ``x``, in model coordinates; ``keys`` draw the probes."""
        x = as_examples("x", x)
        solution = self._solve(keys, score, sde, x, (self.t_min, 1.0))
        latent, gains = solution.y
        return log_likelihoods(
            self.divergence, sde, latent, gains, solution.nfe, solution.converged
        )

    def sample_and_log_density(
        self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]
    ) -> tuple[Examples, LogLikelihoods]:
        """Draws a sample of ``shape`` per key and its log density, in one solve from the prior.

        The samples are those of `ProbabilityFlow` for the same keys, solver and t_min, without
        denoising. Its step sizes are others, so they differ by the error of the solver. One half of
        each key, ``jax.random.split(key)[0]``, draws the prior, the other draws the probes.
        """
        key_prior, key_probes = split_keys(keys)
        latent = draw_prior(key_prior, sde, shape, precision_of(score))
        solution = self._solve(key_probes, score, sde, latent, (1.0, self.t_min))
        x, losses = solution.y
        return x, log_likelihoods(
            self.divergence, sde, latent, -losses, solution.nfe, solution.converged
        )

    def _solve(
        self, keys: Keys, score: Score, sde: LinearSDE, x: Examples, times: tuple[float, float]
    ) -> FlowSolution:
        """Carries states at the first of ``times`` to the second. Returns them, and the gains of
        log density per dimension on the way: the integrals of div f."""
        keys = each_key(keys, len(x))
        flow, ends = UnitFlow(score, sde), jnp.asarray(times, x.dtype)
        angles, scales = flow.angle(ends), flow.scale(ends)
        first_step = flow.first_step(angles[0], from_data=times[0] < times[1])

        def solve(key: PRNGKeyArray, z: Array) -> FlowSolution:
            vectors = self.divergence.vectors(key, z.size)

            def velocity_and_trace(angle: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
                z, _ = state
                velocity, traces = value_and_traces(partial(flow.velocity, angle), z, vectors)
                return velocity, traces / z.size

            # The integral is carried per dimension, so that one tolerance fits it and the state.
            state = z, jnp.zeros(len(vectors), z.dtype)
            return self.solver.solve(velocity_and_trace, state, angles[0], angles[1], first_step)

        solution = jax.vmap(solve)(keys, x / scales[0])
        z, integrals = solution.y
        return solution._replace(y=(scales[1] * z, jnp.log(scales[1] / scales[0]) + integrals))


def value_and_traces(
    f: Callable[[Array], Array],
    x: Float[Array, "*shape"],
    vectors: Float[Array, "probes terms dimension"],
) -> tuple[Float[Array, "*shape"], Float[Array, "probes"]]:
    """Returns ``f(x)`` and each probe's estimate of the trace of its Jacobian, in forward mode."""

    def push_forward(vector: Array) -> tuple[Array, Array]:
        value, product = jax.jvp(f, (x,), (vector,))
        return value, jnp.vdot(vector, product)

    probes, terms = vectors.shape[:2]
    directions = vectors.reshape(probes * terms, *x.shape).astype(x.dtype)
    value, products = jax.vmap(push_forward, out_axes=(None, 0))(directions)
    return value, products.reshape(probes, terms).sum(axis=1)


def log_likelihoods(
    divergence: Divergence,
    sde: LinearSDE,
    latent: Examples,
    gains: Float[Array, "batch probes"],
    nfe: Int[Array, "batch"],
    converged: Bool[Array, "batch"],
) -> LogLikelihoods:
    """Builds the result from states at time 1 and the gains of log density per dimension."""
    log_prior = jax.scipy.stats.norm.logpdf(latent, scale=sde.prior_scale)
    nats = log_prior.reshape(len(latent), -1).sum(axis=1)[:, None] + latent[0].size * gains
    stderr = jax.vmap(divergence.stderr)(nats)
    return LogLikelihoods(nats.mean(axis=1), stderr, nfe, converged)


def bits_per_dimension(
    nats: Float[Array, "..."], dimensions: int, log_det_per_dimension: float
) -> Float[Array, "..."]:
    """Converts log densities in model coordinates to bits per dimension of the data.

    ::

        bits = -(nats / D + log |dx / dk|) / log 2

    where ``x`` is the model's coordinate of one dimension and ``k`` the data's. For dequantized
    images of L levels x = 2 k / L - 1, hence log(2 / L).

    Args:
      nats: log densities in model coordinates.
      dimensions: the number of dimensions D.
      log_det_per_dimension: the logarithm of the slope of the data scaling.
    """
    return -(nats / dimensions + log_det_per_dimension) / math.log(2)
