"""Exponential multistep methods, which reuse evaluations of earlier steps."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Key
from sde_jax.sampling.grid_loop import End, GridLoop, step_noise
from sde_jax.sampling.predictors import Step, check_eta
from sde_jax.sampling.protocol import Samples
from sde_jax.sampling.times import TimeGrid
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE

# `lower_order_final` applies below this number of evaluations.
_FEW_EVALUATIONS = 15
# Gauss-Legendre nodes; exact to float64 rounding for a step of 8 units of log noise.
_NODES = 16


class Table(NamedTuple):
    """Coefficients of a method: ``y' = kept y + weights . D + deviation noise`` in each step."""

    kept: Float[Array, "steps"]
    weights: Float[Array, "steps order"]
    """Weights of the posterior means at the start of the step, at that of the previous step, and so
    on."""
    deviation: Float[Array, "steps"]
    corrections: Float[Array, "steps order+1"]
    """Weights that include the posterior mean at the end of the step, first, and those of
    `weights`."""


class Memory(NamedTuple):
    """State carried from step to step."""

    begun: Float[Array, "batch *shape"]
    """``kept y + deviation noise`` of the previous step."""
    means: Float[Array, "order batch *shape"]
    """Posterior means, latest first."""


@dataclass(frozen=True, kw_only=True)
class ExponentialAdams:
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

    Raises:
      ValueError: unless ``order`` is from 1 to 4 and ``eta`` in [0, 1], or if ``end`` is not one of
        those listed, or ``frames`` is negative.
    """

    grid: TimeGrid
    order: int = 3
    """Number of posterior means used in a step."""
    corrected: bool = True
    """Repeat each step once the posterior mean at its end is known. This costs no evaluation, since
    the next step needs that mean."""
    eta: float = 0.0
    """Noise: 0 follows the probability flow, 1 the reverse-time SDE."""
    lower_order_final: bool = False
    """Lower the order of the last steps when there are fewer than 15 evaluations, as published. It
    helps scores that few steps do not resolve near the data."""
    end: End = "denoised"
    """State to return, as in `PredictorCorrector`."""
    frames: int = 0
    """Number of states to record besides the prior; 0 records none."""

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 4:
            raise ValueError(f"`order` must be from 1 to 4: got order={self.order}.")
        check_eta(self.eta)
        self._loop()

    def __call__(
        self, keys: Key[Array, "batch"], score: Score, sde: LinearSDE, shape: tuple[int, ...]
    ) -> Samples:
        """Draws one sample of ``shape`` per key."""
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

        return self._loop()(
            keys, score, sde, shape, times, advance, evaluations=1, remember=remember
        )

    def table(self, levels: Float[Array, "times"]) -> Table:
        """Returns the coefficients for decreasing values of noise_to_signal."""
        return adams_table(levels, self.order, self._orders(len(levels) - 1), eta=self.eta)

    def _orders(self, steps: int) -> np.ndarray:
        """Returns the order of each step, rising from 1 and, if set, falling at the end."""
        evaluations = steps + self._loop().last_evaluations
        step = np.arange(steps)
        orders = np.minimum(self.order, step + 1)
        falls = self.lower_order_final and evaluations < _FEW_EVALUATIONS
        return np.minimum(orders, evaluations - step) if falls else orders

    def _loop(self) -> GridLoop:
        return GridLoop(end=self.end, frames=self.frames)


def adams_table(
    levels: Float[Array, "times"], most: int, orders: np.ndarray, *, eta: float = 0.0
) -> Table:
    """Returns the coefficients of a multistep method between values of noise_to_signal.

    Args:
      levels: decreasing or, without noise, increasing values.
      most: the largest order, which sets the number of weights.
      orders: order of each step, at most the number of evaluations before its end.
      eta: noise, as in `ExponentialAdams`.
    """
    later, earlier = levels[:-1], levels[1:]
    # log(r / r'), accurate for both large and small steps
    step = jnp.log1p((later - earlier) / earlier)
    decay = (1 + eta) * step
    kept, deviation = jnp.exp(-decay), earlier * jnp.sqrt(-jnp.expm1(-2 * eta * step))
    # Position in l of each posterior mean, relative to the start of the step.
    lengths = jnp.pad(step, (most - 1, 0), constant_values=1.0)
    before = [
        -sum((lengths[most - 1 - k :][: step.size] for k in range(1, j + 1)), 0 * step)
        for j in range(most)
    ]
    weights, corrections = jnp.zeros((2, step.size, most + 1))
    for order in range(1, most + 1):
        rows = (orders == order)[:, None]
        predicting = _weights(decay, step, before[:order])
        correcting = _weights(decay, step, [step, *before[:order]])
        weights = jnp.where(rows, _pad(predicting, most + 1), weights)
        corrections = jnp.where(rows, _pad(correcting, most + 1), corrections)
    return Table(kept, weights[:, :-1], deviation, corrections)


def _weights(decay: Array, step: Array, nodes: list[Array]) -> Float[Array, "steps nodes"]:
    """Returns quadrature weights for values at ``nodes``, for the integral from 0 to ``step``."""
    total = -jnp.expm1(-decay)
    if len(nodes) == 2:
        middle = (0.5 * step - nodes[0]) / (nodes[1] - nodes[0])
        return jnp.stack([total * (1 - middle), total * middle], axis=1)
    points, shares = np.polynomial.legendre.leggauss(_NODES)
    points = (points + 1) / 2
    density = decay[:, None] * jnp.exp(-decay[:, None] * (1 - points)[None]) * (shares / 2)[None]
    at = step[:, None] * points[None]
    others = []
    for j, node in enumerate(nodes[1:], start=1):
        basis = jnp.ones_like(at)
        for k, other in enumerate(nodes):
            if k != j:
                basis = basis * ((at - other[:, None]) / (node - other)[:, None])
        others.append((density * basis).sum(axis=1))
    return jnp.stack([total - sum(others), *others], axis=1)


def _pad(weights: Array, count: int) -> Array:
    return jnp.pad(weights, ((0, 0), (0, count - weights.shape[1])))


def combine(weights: Float[Array, "means"], means: Float[Array, "means *state"]) -> Array:
    """Returns the weighted sum, at full precision on every device."""
    return jnp.tensordot(weights, means, axes=1, precision=jax.lax.Precision.HIGHEST)
