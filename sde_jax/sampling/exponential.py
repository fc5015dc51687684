"""Exponential multistep methods, which reuse evaluations of earlier steps."""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Examples, Float, Keys
from sde_jax.ode import AdamsTable, adams_table, combine
from sde_jax.randomness import step_noise
from sde_jax.sampling.grid_loop import GridSampler
from sde_jax.sampling.predictors import Step
from sde_jax.sampling.protocol import Samples
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE
from sde_jax.validation import Rule, UnitInterval

Orders = Literal["bounded", "falling", "full"]
"""Rules for the order of each step."""

# Orders fall below this number of evaluations.
_FEW_EVALUATIONS = 15


class Memory(NamedTuple):
    """State carried from step to step."""

    begun: Examples
    """``kept y + deviation noise`` of the previous step."""
    means: Float[Array, "order batch *shape"]
    """Posterior means, latest first."""


@dataclass(frozen=True, kw_only=True)
class ExponentialAdams(GridSampler):
    """Adams methods for the probability flow and the reverse-time SDE of every linear SDE.

    In ``y = x / alpha``, ``r = sigma / alpha`` and ``l = -log r`` the linear part is solved
    exactly. The posterior mean D is extrapolated by the polynomial in l through its last ``order``
    values. With ``c = 1 + eta`` and h the step in l,

    ::

        y' = q^c y + c h int_0^1 exp(-c h (1 - u)) D(l + h u) du + r' sqrt(1 - q^(2 eta)) noise

    where ``q = r' / r = exp(-h)``. As published, the integral of a polynomial through two values
    uses its value at the middle of the step. Order 1 is `DDIM`. Order 2 is DPM-Solver++ 2M (Lu et
    al. 2022, arXiv:2211.01095) and, with eta = 1, SDE-DPM-Solver++ 2M. Order 3 is DPM-Solver++ 3M,
    whose published code halves the second difference and is not of third order. With correction,
    order 3 is UniPC-3 with B2 (Zhao et al. 2023, arXiv:2302.04867) and, with noise, SA-Solver (Xue
    et al. 2023, arXiv:2309.05019). All start at order 1.
    """

    order: Annotated[int, Rule("be from 1 to 4", lambda order: 1 <= order <= 4)] = 3
    """Number of posterior means used in a step."""
    corrected: bool = True
    """Repeat each step once the posterior mean at its end is known. This costs no evaluation, since
    the next step needs that mean."""
    eta: UnitInterval = 0.0
    """Noise: 0 follows the probability flow, 1 the reverse-time SDE."""
    orders: Orders = "bounded"
    """Order of each step. bounded: the highest, up to ``order``, at which the step does not amplify
    errors of the posterior means too much. So the order falls where steps are far longer than those
    before, as at the end of equal steps of time. falling: lower in the last steps if there are
    fewer than 15 evaluations, as published. full: always ``order``."""

    @property
    def follows_flow(self) -> bool:
        """True for ``eta`` 0."""
        return not self.eta

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]) -> Samples:
        times = self.times(score, sde)
        table = self.table(sde.noise_to_signal(times))
        alphas = sde.alpha(times)

        def advance(keys: Keys, x: Array, memory: Memory, step: Array) -> tuple[Step, Memory]:
            mean = denoised(score, sde, x, times[step])
            means = jnp.concatenate([mean[None], memory.means])
            y = x / alphas[step]
            if self.corrected:
                corrections = table.corrections[jnp.maximum(step - 1, 0)]
                y = jnp.where(step > 0, memory.begun + combine(corrections, means), y)
            means = means[:-1]
            kept = table.kept[step] * y
            noise = jnp.zeros_like(x)
            if self.eta:
                noise = step_noise(keys, step, x.shape[1:], x.dtype)
            begun = kept + table.deviation[step] * noise
            drift = combine(table.weights[step], means)
            alpha = alphas[step + 1]
            return Step(alpha * (begun + drift), alpha * (kept + drift)), Memory(begun, means)

        def remember(x: Array) -> Memory:
            return Memory(jnp.zeros_like(x), jnp.zeros((self.order, *x.shape), x.dtype))

        return self.follow_grid(
            keys, score, sde, shape, times, advance, evaluations=1, remember=remember
        )

    def table(self, levels: Float[Array, "times"]) -> AdamsTable:
        """Returns the coefficients for decreasing values of noise_to_signal."""
        orders, bounded = self._most_orders(len(levels) - 1), self.orders == "bounded"
        return adams_table(levels, self.order, orders, eta=self.eta, bounded=bounded)

    def _most_orders(self, steps: int) -> np.ndarray:
        """Returns the highest order of each step, rising from 1 and, if set, falling at the end."""
        evaluations = steps + self.last_evaluations
        step = np.arange(steps)
        orders = np.minimum(self.order, step + 1)
        falls = self.orders == "falling" and evaluations < _FEW_EVALUATIONS
        return np.minimum(orders, evaluations - step) if falls else orders
