"""Exact likelihoods, by the change of variables along the probability flow."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Bool, Float, Int, Key, PRNGKeyArray
from sde_jax.score import AdaptiveSolver, Score, data_end_step
from sde_jax.sde import LinearSDE, probability_flow_drift


class LogLikelihoods(NamedTuple):
    """Log densities of examples in model coordinates, with what is known of their error."""

    nats: Float[Array, "batch"]
    """``log p(x)`` at t_min, averaged over the probes."""
    probe_stderr: Float[Array, "batch"]
    """Standard error of ``nats`` over the probes: 0 for an exact trace, NaN for one probe."""
    nfe: Int[Array, "batch"]
    """Evaluations of the score, each with its Jacobian-vector products."""
    converged: Bool[Array, "batch"]
    """False where the solver gave up; ``nats`` is then meaningless."""


class Divergence(Protocol):
    """How the trace of a Jacobian J is had from products ``v.J v``."""

    def vectors(self, key: PRNGKeyArray, dimension: int) -> Float[Array, "probes terms dimension"]:
        """Vectors v; the sum of ``v.J v`` over the terms of one probe estimates the trace."""
        ...

    def stderr(self, estimates: Float[Array, "probes"]) -> Float[Array, ""]:
        """The standard error of the mean of one number from each probe."""
        ...


@dataclass(frozen=True, kw_only=True)
class Hutchinson:
    """The unbiased estimate ``v.J v`` with random signs (Hutchinson 1990; Song et al. app. D.2).

    A probe is fixed along the whole solve: redrawn, it would look like an error to the solver.

    Raises:
      ValueError: unless ``probes`` is at least 1.
    """

    probes: int = 1
    """Independent probes for each example; two or more give a standard error."""
    gaussian: bool = False
    """Whether probes are Gaussian instead of random signs, which have the lower variance."""

    def __post_init__(self) -> None:
        if self.probes < 1:
            raise ValueError(f"`probes` must be at least 1: got probes={self.probes}.")

    def vectors(self, key: PRNGKeyArray, dimension: int) -> Float[Array, "probes 1 dimension"]:
        """One vector for each probe."""
        draw = jax.random.normal if self.gaussian else jax.random.rademacher
        return draw(key, (self.probes, 1, dimension), jnp.result_type(float))

    def stderr(self, estimates: Float[Array, "probes"]) -> Float[Array, ""]:
        """Over the probes; NaN, for unknown, if there is but one."""
        if self.probes == 1:
            return jnp.asarray(jnp.nan)
        return jnp.std(estimates, ddof=1) / math.sqrt(self.probes)


@dataclass(frozen=True, kw_only=True)
class ExactTrace:
    """The trace itself, by one Jacobian-vector product for each dimension."""

    def vectors(self, key: PRNGKeyArray, dimension: int) -> Float[Array, "1 dimension dimension"]:
        """The unit vectors, as terms of one probe."""
        return jnp.eye(dimension)[None]

    def stderr(self, estimates: Float[Array, "1"]) -> Float[Array, ""]:
        """Zero."""
        return jnp.zeros(())


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """The log density of examples under the probability flow (Song et al. 2021, eq. 39).

    ::

        log p(x(t_min)) = log N(x(1); 0, prior_scale^2) + integral of div f over [t_min, 1]

    with ``f = a x - g^2 score / 2`` (Chen et al. 2018). Each example is taken as a state at t_min
    and solved with its own step size; drift and divergence come from one forward-mode pass. All of
    it runs at the highest matmul precision, whatever the device's default. It has derivatives in
    forward mode only.

    Raises:
      ValueError: unless ``0 <= t_min < 1``.
    """

    solver: AdaptiveSolver = AdaptiveSolver()
    t_min: float = 1e-5
    """Where the flow starts; the density is that of the data noised up to this time."""
    divergence: Divergence = Hutchinson()

    def __post_init__(self) -> None:
        if not 0 <= self.t_min < 1:
            raise ValueError(f"`t_min` must be in [0, 1): got t_min={self.t_min}.")

    def __call__(
        self,
        keys: Key[Array, "batch"],
        score: Score,
        sde: LinearSDE,
        x: Float[Array, "batch *shape"],
        *,
        lanes: int | None = None,
    ) -> LogLikelihoods:
        """Log densities of ``x``, in model coordinates.

        Args:
          keys: one for the probes of each example.
          score: that of the model.
          sde: the model's process.
          x: the examples.
          lanes: how many are solved at once, None for all. One that is done makes room for the
            next, so that few lanes idle while the slowest ends.
        """
        dimension = x[0].size

        def drift_and_divergence(
            t: Array, state: tuple[Array, Array], key: PRNGKeyArray
        ) -> tuple[Array, Array]:
            def drift(x: Array) -> Array:
                return probability_flow_drift(sde, x[None], t, score(x[None], t))[0]

            vectors = self.divergence.vectors(key, dimension)
            velocity, traces = value_and_traces(drift, state[0], vectors)
            return velocity, traces / dimension

        probes = jax.eval_shape(lambda: self.divergence.vectors(keys[0], dimension)).shape[0]
        # The integral is carried per dimension, so that one tolerance fits it and the state.
        start, end = jnp.asarray(self.t_min, x.dtype), jnp.asarray(1.0, x.dtype)
        solution = self.solver.solve_each(
            drift_and_divergence,
            (x, jnp.zeros((len(x), probes), x.dtype)),
            keys,
            start,
            end,
            data_end_step(sde, start),
            lanes=lanes or len(x),
        )
        latent, integrals = solution.y
        return log_likelihoods(
            self.divergence, sde, latent, integrals, solution.nfe, solution.converged
        )


def value_and_traces(
    f: Callable[[Array], Array],
    x: Float[Array, "*shape"],
    vectors: Float[Array, "probes terms dimension"],
) -> tuple[Float[Array, "*shape"], Float[Array, "probes"]]:
    """``f(x)`` and what each probe takes for the trace of its Jacobian, in one pass forward."""

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
    latent: Float[Array, "batch *shape"],
    gains: Float[Array, "batch probes"],
    nfe: Int[Array, "batch"],
    converged: Bool[Array, "batch"],
) -> LogLikelihoods:
    """From the states at time 1 and the gain of log density per dimension on the way from there."""
    log_prior = jax.scipy.stats.norm.logpdf(latent, scale=sde.prior_scale)
    nats = log_prior.reshape(len(latent), -1).sum(axis=1)[:, None] + latent[0].size * gains
    stderr = jax.vmap(divergence.stderr)(nats)
    return LogLikelihoods(nats.mean(axis=1), stderr, nfe, converged)


def bits_per_dimension(
    nats: Float[Array, "..."], dimensions: int, log_det_per_dimension: float
) -> Float[Array, "..."]:
    """Bits per dimension of the data, from log densities in model coordinates.

    ::

        bits = -(nats / D + log |dx / dk|) / log 2

    where ``x`` is the model's coordinate of one dimension, ``k`` the data's (for dequantized images
    of L levels x = 2 k / L - 1, hence log(2 / L)).

    Args:
      nats: log densities in model coordinates.
      dimensions: D, by which bits are divided.
      log_det_per_dimension: the logarithm of the slope of the data scaling.
    """
    return -(nats / dimensions + log_det_per_dimension) / math.log(2)
