"""The probability-flow ODE as a sampler, a decoder and an encoder."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, Float, Keys, as_examples, precision_of
from sde_jax.ode import AdaptiveSolver, FlowSolution
from sde_jax.randomness import draw_prior, split_keys
from sde_jax.sampling.protocol import AdaptiveSampler, Samples
from sde_jax.sampling.times import end_time
from sde_jax.score import Score, UnitFlow
from sde_jax.sde import LinearSDE


@dataclass(frozen=True, kw_only=True)
class ProbabilityFlow(AdaptiveSampler):
    """Integrates ``dx/dt = a x - g^2 score / 2`` (Song et al. 2021, eq. 13), adaptively.

    The solver follows the `UnitFlow`. Each sample has its own step size, so neither its value nor
    its cost depends on other samples. The data end of the flow is at ``t_min``.
    """

    solver: AdaptiveSolver = AdaptiveSolver()

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]) -> Samples:
        """Draws one sample of ``shape`` per key, a deterministic function of the key."""
        key_prior, _ = split_keys(keys)
        return self.carry(score, sde, draw_prior(key_prior, sde, shape, precision_of(score)))

    def carry(self, score: Score, sde: LinearSDE, latents: Examples) -> Samples:
        """Maps states at t = 1 to samples, with denoising and frames as in `__call__`."""
        latents = as_examples("latents", latents)
        solution = self._decode(score, sde, latents, self.times(sde, latents.dtype))
        return self.finish(score, sde, solution.y, solution.nfe, solution.converged)

    def decode(self, score: Score, sde: LinearSDE, latents: Examples) -> FlowSolution:
        """Carries states at t = 1 to the data end, without denoising: the inverse of `encode`."""
        latents = as_examples("latents", latents)
        solution = self._decode(score, sde, latents, self._ends(sde, latents))
        return solution._replace(y=solution.y[:, -1])

    def _decode(
        self, score: Score, sde: LinearSDE, x: Examples, times: Float[Array, "times"]
    ) -> FlowSolution:
        """Carries states at the first of ``times`` through the others; returns all states."""
        flow = UnitFlow(score, sde)
        angles, scales = flow.angle(times), flow.scale(times)
        steps = flow.first_step(angles[:-1], from_data=False)
        solution = jax.vmap(lambda z: self.solver.solve_through(flow.velocity, z, angles, steps))(
            x / scales[0]
        )
        return solution._replace(y=solution.y * scales.reshape(-1, *[1] * (x.ndim - 1))[None])

    def encode(self, score: Score, sde: LinearSDE, x: Examples) -> FlowSolution:
        """Carries states at the data end of the flow to t = 1."""
        x = as_examples("x", x)
        flow, times = UnitFlow(score, sde), self._ends(sde, x)
        (end, start), scales = flow.angle(times), flow.scale(times)
        step = flow.first_step(start, from_data=True)
        solution = jax.vmap(lambda z: self.solver.solve(flow.velocity, z, start, end, step))(
            x / scales[1]
        )
        return solution._replace(y=solution.y * scales[0])

    def _ends(self, sde: LinearSDE, x: Examples) -> Float[Array, "2"]:
        """Returns t = 1 and the data end, in the type of ``x``."""
        return jnp.stack([jnp.ones(()), end_time(sde, self.t_min)]).astype(x.dtype)
