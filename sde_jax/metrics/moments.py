"""Count, mean and scatter matrix of features, mergeable over batches, devices and hosts."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.typing import ArrayLike

from sde_jax.metrics.estimate import GROUPS, as_features

PENDING_ROWS = 256 * GROUPS
"""Rows buffered before they are added: a product of few rows costs as much as one of these."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sufficient statistics of a Gaussian fit to rows of features, in float64 on the host."""

    count: int
    mean: np.ndarray
    scatter: np.ndarray
    """Sum of ``(x - mean) (x - mean)^T``."""

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance, with divisor ``count - 1``.

        Raises:
          ValueError: if there are fewer than two rows.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs 2 images or more: got {self.count}.")
        return self.scatter / (self.count - 1)


def moments_of(features: ArrayLike) -> Moments:
    """Returns the moments of rows of features.

    Raises:
      ValueError: if they are not rows of finite numbers.
    """
    x = as_features(features)
    mean = x.mean(axis=0)
    x = x - mean
    return Moments(len(x), mean, x.T @ x)


def merge(*parts: Moments) -> Moments:
    """Returns the moments of all rows together (Chan, Golub and LeVeque 1983, eq. 2.1)."""
    counts = np.asarray([part.count for part in parts], np.float64)
    origin = max(parts, key=lambda part: part.count).mean
    offsets = np.stack([part.mean for part in parts]) - origin
    offset = counts @ offsets / max(counts.sum(), 1)
    between = np.sqrt(counts)[:, None] * (offsets - offset)
    scatter = between.T @ between
    for part in parts:
        scatter += part.scatter
    return Moments(sum(part.count for part in parts), origin + offset, scatter)


def without(whole: Moments, part: Moments) -> Moments:
    """Returns the moments of the rows of ``whole`` that are not in ``part``."""
    count = whole.count - part.count
    offset = (part.mean - whole.mean) * part.count / count
    between = (count * whole.count / part.count) * np.outer(offset, offset)
    return Moments(count, whole.mean - offset, whole.scatter - part.scatter - between)


class StreamingMoments:
    """Accumulates moments of features in batches, for each of `GROUPS` jackknife groups.

    Row ``i`` of the stream belongs to group ``i % GROUPS``, whatever the batch size.
    """

    def __init__(self, dimension: int) -> None:
        self._groups = [_empty(dimension)] * GROUPS
        self._pending: list[np.ndarray] = []
        self._count = 0

    def add(self, features: ArrayLike) -> None:
        """Adds a batch.

        Raises:
          ValueError: if the batch is not rows of ``dimension`` finite numbers.
        """
        x, dimension = np.asarray(features), len(self._groups[0].mean)
        if x.ndim != 2 or x.shape[1] != dimension:
            raise ValueError(f"features must have {dimension} columns: got shape {x.shape}.")
        self._pending.append(x)
        if sum(map(len, self._pending)) >= PENDING_ROWS:
            self._flush()

    def result(self) -> tuple[Moments, ...]:
        """Returns the moments of each nonempty group; every process must call it."""
        self._flush()
        groups = _over_processes(self._groups)
        return tuple(group for group in groups if group.count)

    def _flush(self) -> None:
        rows = np.concatenate(self._pending) if self._pending else np.empty((0, 0))
        self._pending = []
        for row in range(min(len(rows), GROUPS)):
            group = (self._count + row) % GROUPS
            self._groups[group] = merge(self._groups[group], moments_of(rows[row::GROUPS]))
        self._count += len(rows)


def _empty(dimension: int) -> Moments:
    return Moments(0, np.zeros(dimension), np.zeros((dimension, dimension)))


def _over_processes(groups: Sequence[Moments]) -> list[Moments]:
    """Merges each group over all processes."""
    if jax.process_count() == 1:
        return list(groups)
    return [merge(*_gathered(group)) for group in groups]


def _gathered(group: Moments) -> list[Moments]:
    """Gathers a group from all processes, as uint32 words since JAX would round float64."""
    dimension = len(group.mean)
    numbers = np.concatenate([[float(group.count)], group.mean, group.scatter.ravel()])
    words = np.asarray(multihost_utils.process_allgather(numbers.view(np.uint32)))
    return [
        Moments(int(row[0]), row[1 : dimension + 1], row[dimension + 1 :].reshape(dimension, -1))
        for row in words.view(np.float64)
    ]
