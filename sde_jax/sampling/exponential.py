"""Exponential multistep methods: a few evaluations, of which each serves several steps."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Key
from sde_jax.ode import AdamsTable, adams_table, combine
from sde_jax.sampling.predictors import Step, check_eta
from sde_jax.sampling.protocol import Samples
from sde_jax.sampling.times import TimeGrid
from sde_jax.sampling.walk import End, Walk, step_noise
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE

# With fewer evaluations than these the last steps are of lower order, if asked for.
_FEW_EVALUATIONS = 15


class Memory(NamedTuple):
    """What the next step needs of those before."""

    begun: Float[Array, "batch *shape"]
    """``kept y + deviation noise`` of the step before."""
    means: Float[Array, "order batch *shape"]
    """Posterior means, the last first."""


@dataclass(frozen=True, kw_only=True)
class ExponentialAdams:
    """Adams methods for the flow and the reversed SDE of every linear SDE, in few evaluations.

    In ``y = x / alpha``, ``r = sigma / alpha`` and ``l = -log r`` the linear part is solved and the
    posterior mean D extrapolated, by the polynomial in l through its last ``order`` values: with
    ``c = 1 + eta`` and h the step in l,

    ::

        y' = q^c y + c h int_0^1 exp(-c h (1 - u)) D(l + h u) du + r' sqrt(1 - q^(2 eta)) noise

    where ``q = r' / r = exp(-h)``. A polynomial through two values is integrated by its value at
    the step's middle, as published. Thus order 1 is `DDIM`, order 2 DPM-Solver++ 2M (Lu et al.
    2022, arXiv:2211.01095) and, with eta = 1, SDE-DPM-Solver++ 2M, order 3 DPM-Solver++ 3M (whose
    code halves the second difference, so that it is not of third order there); corrected, order 3
    is UniPC-3 with B2 (Zhao et al. 2023, arXiv:2302.04867) and, with noise, SA-Solver (Xue et al.
    2023, arXiv:2309.05019). All start at order 1.

    Raises:
      ValueError: unless ``order`` is from 1 to 4 and ``eta`` in [0, 1], or if ``end`` is not one of
        those listed, or ``frames`` is negative.
    """

    grid: TimeGrid
    order: int = 3
    """Posterior means in a step."""
    corrected: bool = True
    """Whether a step is taken again once the posterior mean at its end is known, which the next
    step needs anyway."""
    eta: float = 0.0
    """Noise: 0 follows the probability flow, 1 the reversed SDE."""
    lower_order_final: bool = False
    """Whether in fewer than 15 evaluations the last steps are of falling order, as published, for
    scores that few steps do not resolve near the data."""
    end: End = "denoised"
    """What to return, as of `PredictorCorrector`."""
    frames: int = 0
    """States to keep on the way, besides the prior; 0 keeps none."""

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 4:
            raise ValueError(f"`order` must be from 1 to 4: got order={self.order}.")
        check_eta(self.eta)
        self._walk()

    def __call__(
        self, keys: Key[Array, "batch"], score: Score, sde: LinearSDE, shape: tuple[int, ...]
    ) -> Samples:
        """Draws one sample of ``shape`` for each key."""
        times = self.grid(sde)
        table = self.table(sde.noise_to_signal(times))
        alphas = sde.alpha(times)

        def advance(
            keys: Key[Array, "batch"], x: Array, memory: Memory, step: Array
        ) -> tuple[Step, Memory]:
            mean = denoised(score, sde, x, times[step])
            means = jnp.concatenate([mean[None], memory.means])
            y = x / alphas[step]
            if self.corrected:
                corrections = table.corrections[jnp.maximum(step - 1, 0)]
                y = jnp.where(step > 0, memory.begun + combine(corrections, means), y)
            means = means[:-1]
            kept = table.kept[step] * y
            noise = step_noise(keys, step, x.shape[1:]) if self.eta else jnp.zeros_like(x)
            begun = kept + table.deviation[step] * noise
            drift = combine(table.weights[step], means)
            alpha = alphas[step + 1]
            return Step(alpha * (begun + drift), alpha * (kept + drift)), Memory(begun, means)

        def remember(x: Array) -> Memory:
            return Memory(jnp.zeros_like(x), jnp.zeros((self.order, *x.shape), x.dtype))

        return self._walk()(
            keys, score, sde, shape, times, advance, evaluations=1, remember=remember
        )

    def table(self, levels: Float[Array, "times"]) -> AdamsTable:
        """The method's coefficients between these values of noise_to_signal, which fall."""
        return adams_table(levels, self.order, self._orders(len(levels) - 1), eta=self.eta)

    def _orders(self, steps: int) -> np.ndarray:
        """The order of each step: rising from 1 and, if asked for, falling at the end of few."""
        evaluations = steps + self._walk().last_evaluations
        step = np.arange(steps)
        orders = np.minimum(self.order, step + 1)
        falls = self.lower_order_final and evaluations < _FEW_EVALUATIONS
        return np.minimum(orders, evaluations - step) if falls else orders

    def _walk(self) -> Walk:
        return Walk(end=self.end, frames=self.frames)
