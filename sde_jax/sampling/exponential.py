"""Exponential multistep methods: a few evaluations, of which each serves several steps."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Key
from sde_jax.sampling.predictors import Step, check_eta
from sde_jax.sampling.protocol import Samples
from sde_jax.sampling.times import TimeGrid
from sde_jax.sampling.walk import End, Walk, step_noise
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE

# With fewer evaluations than these the last steps are of lower order, if asked for.
_FEW_EVALUATIONS = 15
# Gauss-Legendre nodes: exact in float64 for a step across 8 units of log noise.
_NODES = 16


class Table(NamedTuple):
    """What a method does in each step: ``y' = kept y + weights . D + deviation noise``."""

    kept: Float[Array, "steps"]
    weights: Float[Array, "steps order"]
    """Of the posterior means at the step's begin, at that of the step before, and so on."""
    deviation: Float[Array, "steps"]
    corrections: Float[Array, "steps order+1"]
    """The weights with the posterior mean at the step's end, first, and those of `weights`."""


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

    def table(self, levels: Float[Array, "times"]) -> Table:
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


def adams_table(
    levels: Float[Array, "times"], most: int, orders: np.ndarray, *, eta: float = 0.0
) -> Table:
    """The coefficients of a multistep method between values of noise_to_signal.

    Args:
      levels: they fall or, without noise, rise.
      most: the method's order, for which there are weights.
      orders: of each step, not above the number of evaluations before its end.
      eta: noise, as of `ExponentialAdams`.
    """
    later, earlier = levels[:-1], levels[1:]
    # log(r / r'), exact in large steps and in small ones
    step = jnp.log1p((later - earlier) / earlier)
    decay = (1 + eta) * step
    kept, deviation = jnp.exp(-decay), earlier * jnp.sqrt(-jnp.expm1(-2 * eta * step))
    # Where each posterior mean lies, in l, from the begin of the step: 0, and before.
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
    """Weights of values at the ``nodes`` in the integral over a step from 0 to ``step``."""
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
    """The weighted sum, at full precision on every device."""
    return jnp.tensordot(weights, means, axes=1, precision=jax.lax.Precision.HIGHEST)
