"""Fits a time grid to a score, for few evaluations."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Examples, Float, Keys, PerExample, expand_like
from sde_jax.randomness import each_key
from sde_jax.sampling.exponential import ExponentialAdams
from sde_jax.sampling.times import FittedGrid, LogSNRGrid
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE

_LEAST_NODES = 48
_STEPS_PER_NODE = 2
_ITERATIONS = 12
# The least share of the log noise range that a search with a free end leaves to denoising at first.
_LEAST_REST = 0.02


class _Pilots(NamedTuple):
    """Trajectories of the probability flow at equally spaced log noise levels, highest first."""

    levels: Float[Array, "nodes"]
    y: Float[Array, "nodes batch *shape"]
    """States x / alpha."""
    means: Float[Array, "nodes batch *shape"]
    """Posterior means."""


def fit_grid(
    keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...], sampler: ExponentialAdams
) -> FittedGrid:
    """Returns the times of ``sampler`` that leave the least error at the end of the flow.

    Pilot samples follow the probability flow in many steps. Dynamic programming then finds the
    times with the least sum of local errors of DDIM (GITS, Chen et al. 2024, arXiv:2405.11326).
    An error counts by how much the pilots approach each other on the rest of the way. From these
    times and from those of the sampler's own grid, Levenberg and Marquardt's method reduces the
    error of ``sampler`` itself for the first half of the pilots. Of all times on the two ways, the
    result has the least error for the other half.

    Args:
      keys: one for each pilot; 64 are usually enough.
      score: a score, guided or not.
      sde: the forward process.
      shape: shape of one sample.
      sampler: states the number of steps. Its grid states the least noise level: that of the last
        time if ``end`` is "state" or "mean". With "denoised", steps may end at a higher level.

    Returns:
      The grid, for any process with the range of noise_to_signal of ``sde``.

    Raises:
      ValueError: if ``sampler`` adds noise, or for fewer than two keys.
    """
    if sampler.eta:
        raise ValueError(
            f"`sampler` must follow the flow, with eta=0: got eta={sampler.eta}. With noise there "
            "is no trajectory to compare with."
        )
    if len(each_key(keys)) < 2:
        raise ValueError(f"`keys` must be two or more, one for each pilot: got {len(keys)}.")
    if jax.tree_util.treedef_is_leaf(jax.tree.structure(score)):
        score = jax.tree_util.Partial(score)
    own = np.asarray(sde.noise_to_signal(sampler.times(score, sde)), np.float64)
    pilots = _follow(keys, score, sde, shape, sampler, own)
    free = sampler.end == "denoised"
    ends = pilots.means[-1] if free else pilots.y[-1] * sde.alpha(sde.time_of(pilots.levels[-1]))
    planned = _plan(pilots, len(own) - 1, free=free)
    search = _Search(sampler, sde, shape, np.log(own[0]), np.log(own[-1]))
    return FittedGrid(levels=search.best(score, keys, ends, (planned, own[1:])))


def _follow(
    keys: Keys,
    score: Score,
    sde: LinearSDE,
    shape: tuple[int, ...],
    sampler: ExponentialAdams,
    levels: np.ndarray,
) -> _Pilots:
    nodes = max(_LEAST_NODES, 2 * (len(levels) - 1))
    grid = LogSNRGrid(steps=nodes * _STEPS_PER_NODE, last=float(levels[-1]))
    fine = dataclasses.replace(sampler, grid=grid, end="state", frames=nodes)

    @jax.jit
    def follow(keys: Keys, score: Score) -> _Pilots:
        samples = fine(keys, score, sde, shape)
        assert samples.trajectory is not None
        assert samples.trajectory_times is not None
        times, x = samples.trajectory_times[0], jnp.moveaxis(samples.trajectory, 1, 0)
        means = jax.lax.map(lambda node: denoised(score, sde, *node), (x, times))
        return _Pilots(sde.noise_to_signal(times), x / expand_like(sde.alpha(times), x), means)

    return follow(keys, score)


def _plan(pilots: _Pilots, steps: int, *, free: bool) -> np.ndarray:
    """Returns the levels after each step with the least sum of squared local errors of DDIM."""
    levels, y, means = pilots
    variance = y.var(axis=1).reshape(len(levels), -1).mean(axis=1)

    def squares(difference: Array) -> Float[Array, "nodes"]:
        return (difference.reshape(len(levels), -1) ** 2).mean(axis=1)

    def from_node(node: Array) -> Float[Array, "nodes"]:
        kept = expand_like(levels / levels[node], y)
        errors = squares(kept * y[node][None] + (1 - kept) * means[node][None] - y)
        return jnp.where(levels < levels[node], errors * variance[-1] / variance, jnp.inf)

    nodes = jnp.arange(len(levels))
    costs = np.asarray(jax.jit(lambda: jax.lax.map(from_node, nodes))(), np.float64)
    last = np.asarray(squares(means - means[-1:]), np.float64)
    least, origins = np.append(0.0, np.full(len(levels) - 1, np.inf)), []
    for _ in range(steps):
        sums = least[:, None] + costs
        origins.append(sums.argmin(axis=0))
        least = sums.min(axis=0)
    path = [int((least + last).argmin()) if free else len(levels) - 1]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return np.asarray(levels, np.float64)[path[-2::-1]]


class _Trial(NamedTuple):
    """Times and the mean squared errors of the first and of the second half of the pilots."""

    logits: np.ndarray
    fitted: float
    checked: float


def _descend(
    tried: Callable[[np.ndarray], _Trial],
    equations: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    logits: np.ndarray,
) -> Iterator[_Trial]:
    """Yields trials of less and less error, by Levenberg and Marquardt's method."""
    best, damping = tried(logits), 1e-2
    yield best
    matrix, slope = equations(logits)
    for _ in range(_ITERATIONS):
        damped = matrix + damping * np.diag(np.diag(matrix))
        change = np.linalg.lstsq(damped, -slope, rcond=None)[0]
        trial = tried(best.logits + np.clip(change, -1, 1))
        if trial.fitted < best.fitted:
            yield trial
            best, damping = trial, damping / 5
            matrix, slope = equations(best.logits)
        else:
            damping *= 5


@dataclass(frozen=True)
class _Search:
    """The search for times, in logits of the shares that steps have in the log noise range."""

    sampler: ExponentialAdams
    sde: LinearSDE
    shape: tuple[int, ...]
    first: float
    """log noise_to_signal at t = 1."""
    last: float

    def best(
        self, score: Score, keys: Keys, ends: Examples, starts: Iterable[np.ndarray]
    ) -> tuple[float, ...]:
        """Returns the levels after each step with the least error for the second half of ``keys``.

        Args:
          score: the score.
          keys: one for each pilot.
          ends: the exact samples of ``keys``.
          starts: levels after each step, from which to search.
        """
        half = len(keys) // 2
        measure, linearize = jax.jit(self._squares), jax.jit(self._normal_equations)

        def tried(logits: np.ndarray) -> _Trial:
            squares = np.asarray(measure(logits, score, keys, ends), np.float64)
            return _Trial(logits, squares[:half].mean(), squares[half:].mean())

        def equations(logits: np.ndarray) -> tuple[np.ndarray, ...]:
            found = linearize(logits, score, keys[:half], ends[:half])
            return tuple(np.asarray(array, np.float64) for array in found)

        ways = (_descend(tried, equations, self._logits(levels)) for levels in starts)
        best = min(itertools.chain.from_iterable(ways), key=lambda trial: trial.checked)
        return tuple(np.asarray(self._levels(jnp.asarray(best.logits)), np.float64).tolist())

    def _logits(self, levels: np.ndarray) -> np.ndarray:
        shares = np.diff(np.log(levels), prepend=self.first) / (self.last - self.first)
        if self._free:
            shares = np.append(shares, max(1 - shares.sum(), _LEAST_REST))
        return np.log(shares)

    def _levels(self, logits: Array) -> Float[Array, "steps"]:
        shares = jnp.cumsum(jax.nn.softmax(logits))
        shares = shares[:-1] if self._free else shares.at[-1].set(1.0)
        return jnp.exp(self.first + (self.last - self.first) * shares)

    @property
    def _free(self) -> bool:
        return self.sampler.end == "denoised"

    def _errors(
        self, logits: Array, score: Score, keys: Keys, ends: Examples
    ) -> Float[Array, "batch size"]:
        times = jnp.append(1.0, self.sde.time_of(self._levels(logits)))
        sampler = dataclasses.replace(self.sampler, grid=lambda sde: times, frames=0)
        x = sampler(keys, score, self.sde, self.shape).x
        return (x - ends).reshape(len(x), -1)

    def _squares(self, logits: Array, score: Score, keys: Keys, ends: Examples) -> PerExample:
        return (self._errors(logits, score, keys, ends) ** 2).mean(axis=1)

    def _normal_equations(
        self, logits: Array, score: Score, keys: Keys, ends: Examples
    ) -> tuple[Float[Array, "logits logits"], Float[Array, "logits"]]:
        errors = self._errors(logits, score, keys, ends).ravel()
        slopes = jax.jacfwd(lambda logits: self._errors(logits, score, keys, ends).ravel())(logits)
        with jax.default_matmul_precision("highest"):
            return slopes.T @ slopes, slopes.T @ errors
