"""The probability-flow ODE as a sampler, a decoder and an encoder."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, Keys, as_examples, precision_of
from sde_jax.ode import AdaptiveSolver, FlowSolution, data_end_step
from sde_jax.randomness import draw_prior, split_keys
from sde_jax.sampling.protocol import AdaptiveSampler, Samples
from sde_jax.sampling.times import end_time
from sde_jax.score import Score
from sde_jax.sde import LinearSDE, probability_flow_drift


@dataclass(frozen=True, kw_only=True)
class ProbabilityFlow(AdaptiveSampler):
    """Integrates ``dx/dt = a x - g^2 score / 2`` (Song et al. 2021, eq. 13), adaptively.

    Each sample has its own step size, so neither its value nor its cost depends on other samples.
    The data end of the flow is at ``t_min``.
    """

    solver: AdaptiveSolver = AdaptiveSolver()

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]) -> Samples:
        """Draws one sample of ``shape`` per key, a deterministic function of the key."""
        key_prior, _ = split_keys(keys)
        return self.carry(score, sde, draw_prior(key_prior, sde, shape, precision_of(score)))

    def carry(self, score: Score, sde: LinearSDE, latents: Examples) -> Samples:
        """Maps states at t = 1 to samples, with denoising and frames as in `__call__`."""
        latents = as_examples("latents", latents)
        drift, times = _drift(score, sde), self.times(sde, latents.dtype)
        solution = jax.vmap(lambda x: self.solver.solve_through(drift, x, times))(latents)
        return self.finish(score, sde, solution.y, solution.nfe, solution.converged)

    def decode(self, score: Score, sde: LinearSDE, latents: Examples) -> FlowSolution:
        """Carries states at t = 1 to the data end, without denoising: the inverse of `encode`."""
        latents = as_examples("latents", latents)
        drift, (start, end) = _drift(score, sde), self._ends(sde, latents)
        return jax.vmap(lambda x: self.solver.solve(drift, x, start, end))(latents)

    def encode(self, score: Score, sde: LinearSDE, x: Examples) -> FlowSolution:
        """Carries states at the data end of the flow to t = 1."""
        x = as_examples("x", x)
        drift, (end, start) = _drift(score, sde), self._ends(sde, x)
        first_step = data_end_step(sde, start)
        return jax.vmap(lambda x: self.solver.solve(drift, x, start, end, first_step))(x)

    def _ends(self, sde: LinearSDE, x: Examples) -> tuple[Array, Array]:
        """Returns t = 1 and the data end, in the type of ``x``."""
        return jnp.ones((), x.dtype), end_time(sde, self.t_min).astype(x.dtype)


def _drift(score: Score, sde: LinearSDE) -> Callable[[Array, Array], Array]:
    """Returns the right-hand side of the flow for one example, without a batch dimension."""

    def drift(t: Array, x: Array) -> Array:
        return probability_flow_drift(sde, x[None], t, score(x[None], t))[0].astype(x.dtype)

    return drift
