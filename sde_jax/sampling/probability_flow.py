"""The probability-flow ODE as a sampler, a decoder and an encoder."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, Keys
from sde_jax.ode import AdaptiveSolver, FlowSolution, data_end_step
from sde_jax.sampling.protocol import AdaptiveSampler, Samples, draw_prior
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
        key_prior, _ = jax.vmap(jax.random.split, out_axes=1)(keys)
        return self.carry(score, sde, draw_prior(key_prior, sde, shape))

    def carry(self, score: Score, sde: LinearSDE, latents: Examples) -> Samples:
        """Maps states at t = 1 to samples, with denoising and frames as in `__call__`."""
        drift, times = _drift(score, sde), self.times(sde)
        solution = jax.vmap(lambda x: self.solver.solve_through(drift, x, times))(latents)
        return self.finish(score, sde, solution.y, solution.nfe, solution.converged)

    def decode(self, score: Score, sde: LinearSDE, latents: Examples) -> FlowSolution:
        """Carries states at t = 1 to the data end, without denoising: the inverse of `encode`."""
        drift, end = _drift(score, sde), end_time(sde, self.t_min)
        return jax.vmap(lambda x: self.solver.solve(drift, x, jnp.asarray(1.0), end))(latents)

    def encode(self, score: Score, sde: LinearSDE, x: Examples) -> FlowSolution:
        """Carries states at the data end of the flow to t = 1."""
        drift, start = _drift(score, sde), end_time(sde, self.t_min)
        first_step = data_end_step(sde, start)
        return jax.vmap(lambda x: self.solver.solve(drift, x, start, jnp.asarray(1.0), first_step))(
            x
        )


def _drift(score: Score, sde: LinearSDE) -> Callable[[Array, Array], Array]:
    """Returns the right-hand side of the flow for one example, without a batch dimension."""

    def drift(t: Array, x: Array) -> Array:
        return probability_flow_drift(sde, x[None], t, score(x[None], t))[0]

    return drift
