"""Fits a time grid to a score, for few evaluations."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Examples, Float, Keys, expand_like
from sde_jax.ode import adams_table, combine
from sde_jax.randomness import draw_prior, each_key, split_keys
from sde_jax.sampling.grid_loop import GridSampler
from sde_jax.sampling.times import FittedGrid, KarrasGrid, LogSNRGrid, UniformGrid
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE

_LEAST_NODES = 64
_ORDER = 3
# Runs of the sampler after those that measure the first slopes; a search also ends where the
# damping exceeds its limit.
_RUNS = 10
_MOST_DAMPING = 1e3
_DIFFERENCE = 0.01
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
    keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...], sampler: GridSampler
) -> FittedGrid:
    """Returns the times of ``sampler`` that leave the least error at the end of the flow.

    Pilot samples follow the probability flow in many steps. Dynamic programming then finds the
    times with the least sum of local errors of DDIM (GITS, Chen et al. 2024, arXiv:2405.11326).
    An error counts by how much the pilots approach each other on the rest of the way. From these
    times, or from equal steps of log-SNR, of time, of flow matching's time r / (1 + r) or of
    Karras et al. if they are better, Levenberg and Marquardt's method reduces the error of
    ``sampler`` itself, twice. Its slopes are differences at first, and follow from the runs
    after that (Broyden 1965). The best of these spacings is returned unless the found times are
    better by more than a standard error over the pilots.

    The cost is that of 64 evaluations of each pilot or more, and of at most ``2 n + 25`` runs of
    the sampler in n steps.

    Args:
      keys: one for each pilot; 32 are usually enough.
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
    if not sampler.follows_flow:
        raise ValueError(
            f"`sampler` must follow the flow, without noise: got {sampler}. With noise there is no "
            "trajectory to compare with."
        )
    if len(each_key(keys)) < 2:
        raise ValueError(f"`keys` must be two or more, one for each pilot: got {len(keys)}.")
    if jax.tree_util.treedef_is_leaf(jax.tree.structure(score)):
        score = jax.tree_util.Partial(score)
    times = sampler.times(score, sde)
    pilots = _follow(keys, score, sde, shape, sde.noise_to_signal(times))
    search = _Search(sampler, sde, shape, *np.log(np.asarray(pilots.levels, np.float64)[[0, -1]]))
    ends = pilots.means[-1] if search.free else pilots.y[-1] * sde.alpha(times[-1])
    run = jax.jit(search.errors)

    def errors(logits: np.ndarray) -> np.ndarray:
        return np.asarray(run(logits, score, keys, ends), np.float64).reshape(len(keys), -1)

    starts = [_plan(pilots, len(times) - 1, free=search.free), *_spacings(sde, times)]
    trials = [_Trial.of(errors, search.logits(levels)) for levels in starts]
    spacing, start = (min(some, key=_Trial.total) for some in (trials[1:], trials))
    # Slopes of earlier times would leave the search beside the optimum.
    best = _descend(errors, _descend(errors, start))
    if not best.is_surely_better_than(spacing):
        best = spacing
    return FittedGrid(levels=tuple(np.asarray(search.levels(jnp.asarray(best.logits))).tolist()))


def _follow(
    keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...], ends: Float[Array, "times"]
) -> _Pilots:
    """Follows the flow from the first to the last of the levels ``ends`` in steps of order 3."""
    nodes = max(_LEAST_NODES, 4 * len(ends))
    levels = jnp.geomspace(ends[0], ends[-1], nodes).astype(ends.dtype)
    times = sde.time_of(levels).at[0].set(1.0)
    orders = np.minimum(1 + np.arange(nodes - 1), _ORDER)

    @jax.jit
    def follow(keys: Keys, score: Score) -> _Pilots:
        table = adams_table(levels, _ORDER, orders)

        def advance(carry: tuple[Array, Array], step: Array) -> tuple[tuple, tuple]:
            y, means = carry
            mean = denoised(score, sde, sde.alpha(times[step]) * y, times[step])
            means = jnp.concatenate([mean[None], means[:-1]])
            # The step from the last node is not taken.
            moved = table.kept[step] * y + combine(table.weights[step], means)
            return (moved, means), (y, mean)

        y = draw_prior(split_keys(keys)[0], sde, shape, ends.dtype) / sde.alpha(times[0])
        first = (y, jnp.zeros((_ORDER, *y.shape), y.dtype))
        return _Pilots(levels, *jax.lax.scan(advance, first, jnp.arange(nodes))[1])

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


def _spacings(sde: LinearSDE, times: Float[Array, "times"]) -> list[np.ndarray]:
    """Returns the levels after each step of four spacings from the first to the last time."""
    steps, last = len(times) - 1, float(sde.noise_to_signal(times[-1]))
    grids = (
        LogSNRGrid(steps=steps, last=last),
        KarrasGrid(steps=steps, last=last),
        UniformGrid(steps=steps, t_min=float(times[-1])),
    )
    spacings = [np.asarray(sde.noise_to_signal(grid(sde)), np.float64) for grid in grids]
    # Equal steps of flow matching's time.
    most, least = (level / (1 + level) for level in spacings[0][[0, -1]])
    shares = np.linspace(most, least, steps + 1)
    return [levels[1:] for levels in (*spacings, shares / (1 - shares))]


class _Trial(NamedTuple):
    """Times and the errors of the pilots."""

    logits: np.ndarray
    errors: np.ndarray
    """By pilots and coordinates."""

    @classmethod
    def of(cls, errors: Callable[[np.ndarray], np.ndarray], logits: np.ndarray) -> "_Trial":
        return cls(logits, errors(logits))

    def total(self) -> float:
        """Returns the sum of squares."""
        return float((self.errors**2).sum())

    def is_surely_better_than(self, other: "_Trial") -> bool:
        """Returns whether the squares are less by more than a standard error over the pilots."""
        gains = (other.errors**2 - self.errors**2).mean(axis=1)
        return bool(gains.mean() > gains.std(ddof=1) / len(gains) ** 0.5)


def _descend(errors: Callable[[np.ndarray], np.ndarray], best: _Trial) -> _Trial:
    """Returns a trial of less error, by Levenberg and Marquardt's method with Broyden's slopes."""
    nudges = _DIFFERENCE * np.eye(len(best.logits))
    changes = [(errors(best.logits + nudge) - best.errors).ravel() for nudge in nudges]
    slopes, damping = np.stack(changes) / _DIFFERENCE, 1e-2
    for _ in range(_RUNS):
        matrix = slopes @ slopes.T
        damped = matrix + damping * np.diag(np.diag(matrix))
        change = np.linalg.lstsq(damped, -slopes @ best.errors.ravel(), rcond=None)[0]
        change = np.clip(change, -1, 1)
        trial = _Trial.of(errors, best.logits + change)
        missed = (trial.errors - best.errors).ravel() - change @ slopes
        slopes += np.outer(change, missed) / (change @ change)
        if trial.total() < best.total():
            best, damping = trial, damping / 5
        elif (damping := 5 * damping) > _MOST_DAMPING:
            break
    return best


@dataclass(frozen=True)
class _Search:
    """Times as logits of the shares that steps have in the log noise range."""

    sampler: GridSampler
    sde: LinearSDE
    shape: tuple[int, ...]
    first: float
    """log noise_to_signal at t = 1."""
    last: float

    @property
    def free(self) -> bool:
        """True if the steps may end above the last level."""
        return self.sampler.end == "denoised"

    def logits(self, levels: np.ndarray) -> np.ndarray:
        """Returns the logits of levels after each step."""
        shares = np.diff(np.log(levels), prepend=self.first) / (self.last - self.first)
        if self.free:
            shares = np.append(shares, max(1 - shares.sum(), _LEAST_REST))
        return np.log(shares)

    def levels(self, logits: Array) -> Float[Array, "steps"]:
        """Returns the levels after each step."""
        shares = jnp.cumsum(jax.nn.softmax(logits))
        shares = shares[:-1] if self.free else shares.at[-1].set(1.0)
        return jnp.exp(self.first + (self.last - self.first) * shares)

    def errors(
        self, logits: Array, score: Score, keys: Keys, ends: Examples
    ) -> Float[Array, "batch *shape"]:
        """Returns the differences of samples from the exact ones."""
        times = jnp.append(1.0, self.sde.time_of(self.levels(logits)))
        sampler = dataclasses.replace(self.sampler, grid=lambda sde: times, frames=0)
        return sampler(keys, score, self.sde, self.shape).x - ends
