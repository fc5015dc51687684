"""ROC curves: how well a score separates two sets, at any threshold."""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from sde_jax.metrics.estimate import Estimate


class RocCurve(NamedTuple):
    """A receiver operating characteristic, from (0, 0) to (1, 1)."""

    false_positive_rate: np.ndarray
    """Share of negatives at or above each threshold, in decreasing order of thresholds."""
    true_positive_rate: np.ndarray
    """Share of positives at or above each threshold."""


def roc_area(positive: ArrayLike, negative: ArrayLike) -> Estimate:
    """Returns the area under the ROC curve.

    It is ``P(positive > negative) + P(positive = negative) / 2``. One half means no separation,
    less means the reverse order. The area is the mean of the placements of either set, the share of
    the other set below each score (ties count half). Its variance is
    ``var(P_positive) / m + var(P_negative) / n`` (DeLong, DeLong and Clarke-Pearson 1988). Counts
    are of positives, then negatives.

    Args:
      positive: scores of the set expected to be higher, ``[m]``.
      negative: scores of the other set, ``[n]``.

    Returns:
      The area; its standard error is NaN if a set has a single score, if the sets do not overlap,
        or if
      all scores are equal.

    Raises:
      ValueError: if a set is empty, or has a score that is not finite.
    """
    x, y = _checked("positive", positive), _checked("negative", negative)
    below, above = placements(x, y), 1 - placements(y, x)
    counts = (len(x), len(y))
    area = float(below.mean())
    spread = max(np.ptp(below), np.ptp(above)) > 0
    if min(counts) < 2 or not spread:
        return Estimate(area, float("nan"), counts)
    variance = below.var(ddof=1) / len(x) + above.var(ddof=1) / len(y)
    return Estimate(area, float(np.sqrt(variance)), counts)


def roc_curve(positive: ArrayLike, negative: ArrayLike) -> RocCurve:
    """Returns the curve whose area is `roc_area`, at the thresholds where it turns.

    Args and raises as for `roc_area`.
    """
    from sklearn import metrics

    x, y = _checked("positive", positive), _checked("negative", negative)
    labels = np.repeat([1, 0], [len(x), len(y)])
    false_positives, true_positives, _ = metrics.roc_curve(labels, np.concatenate([x, y]))
    return RocCurve(false_positives, true_positives)


def _checked(name: str, scores: ArrayLike) -> np.ndarray:
    x = np.asarray(scores, np.float64)
    if x.ndim != 1 or not len(x):
        raise ValueError(f"`{name}` must be a row of scores: got an array of shape {x.shape}.")
    if not np.isfinite(x).all():
        raise ValueError(
            f"`{name}` must be finite: score {np.flatnonzero(~np.isfinite(x))[0]} is not."
        )
    return x


def placements(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the share of the others below each score; ties count half."""
    ordered = np.sort(others)
    below, not_above = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    return (below + not_above) / (2 * len(ordered))
