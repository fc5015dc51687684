"""Predictions of a classifier for generated images, compared with those for real images."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike
from scipy.special import entr

from sde_jax.metrics.estimate import (
    Estimate,
    as_features,
    check_dimensions,
    jackknife_stderr,
    mean_estimate,
)


class Predicted(NamedTuple):
    """Predictions of a classifier for one set of images."""

    mean_max_logit: Estimate
    """Mean of the largest logit."""
    unsure_share: Estimate
    """Share of images whose largest class probability is below the threshold."""
    unsure: np.ndarray
    """Indices of these images, in increasing order of confidence."""
    label_shares: tuple[Estimate, ...]
    """Share of images of each predicted label."""
    entropy: Estimate
    """Entropy of the distribution of predicted labels, in nats."""
    best: tuple[int | None, ...]
    """For each label, the image with the largest logit among those predicted to have it; None if
    there is none."""


class LabelDistance(NamedTuple):
    """Total variation distance of two distributions of predicted labels, in [0, 1]."""

    value: float
    stderr: float
    """Standard error by the jackknife over images; not valid if the value is near `expected`."""
    expected: float
    """Mean distance of two sets of these sizes from the distribution of the real images."""
    counts: tuple[int, int]
    """Number of generated and of real images."""


class Predictions(NamedTuple):
    """Predictions of a classifier for generated and for real images."""

    generated: Predicted
    real: Predicted
    label_distance: LabelDistance
    threshold: float
    """Largest class probability below which the classifier counts as unsure."""


def compare_predictions(
    generated_logits: ArrayLike, real_logits: ArrayLike, *, threshold: float = 0.9
) -> Predictions:
    """Compares the predictions ``argmax(logits)``, with confidences from ``softmax(logits)``.

    Args:
      generated_logits: ``[count, classes]``.
      real_logits: logits of real images, of the same classes.
      threshold: probability below which a prediction is unsure.

    Raises:
      ValueError: if a set has fewer than two images, the numbers of classes differ, or the
        threshold is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"`threshold` must lie in (0, 1]: got {threshold}.")
    x, y = as_features(generated_logits, least=2), as_features(real_logits, least=2)
    check_dimensions(x.shape[1], y.shape[1])
    return Predictions(
        _predicted(x, threshold), _predicted(y, threshold), _label_distance(x, y), threshold
    )


def expected_label_distance(shares: ArrayLike, first: int, second: int) -> float:
    """Returns the mean total variation distance of two sets of labels drawn with these shares.

    It is ``1/2 sum_k E|X_k / n - Y_k / m|``, exactly, of binomial counts ``X_k`` and ``Y_k``.

    Args:
      shares: probability of each label.
      first: number of images of one set, n.
      second: number of images of the other set, m.
    """
    return 0.5 * sum(_mean_difference(float(p), first, second) for p in np.asarray(shares))


def _predicted(logits: np.ndarray, threshold: float) -> Predicted:
    labels, largest = logits.argmax(axis=1), logits.max(axis=1)
    confidence = 1 / np.exp(logits - largest[:, None]).sum(axis=1)
    unsure = np.flatnonzero(confidence < threshold)
    classes = range(logits.shape[1])
    of_labels = [np.flatnonzero(labels == label) for label in classes]
    counts = np.array([len(rows) for rows in of_labels])
    entropy = float(_entropy(counts / len(labels)))
    return Predicted(
        mean_max_logit=mean_estimate(largest),
        unsure_share=mean_estimate(confidence < threshold),
        unsure=unsure[np.argsort(confidence[unsure], kind="stable")],
        label_shares=tuple(mean_estimate(labels == label) for label in classes),
        entropy=Estimate(entropy, jackknife_stderr(_without(counts, _entropy)), (len(labels),)),
        best=tuple(int(rows[largest[rows].argmax()]) if len(rows) else None for rows in of_labels),
    )


def _label_distance(generated: np.ndarray, real: np.ndarray) -> LabelDistance:
    classes, sizes = generated.shape[1], (len(generated), len(real))
    counts = [np.bincount(logits.argmax(axis=1), minlength=classes) for logits in (generated, real)]
    ours, theirs = (count / size for count, size in zip(counts, sizes, strict=True))
    stderr = jackknife_stderr(
        _without(counts[0], lambda shares: _total_variation(shares, theirs)),
        _without(counts[1], lambda shares: _total_variation(shares, ours)),
    )
    expected = expected_label_distance(theirs, *sizes)
    return LabelDistance(float(_total_variation(ours, theirs)), stderr, expected, sizes)


def _without(counts: np.ndarray, measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Returns a statistic of label shares without each image in turn."""
    others = (counts - np.eye(len(counts))) / (counts.sum() - 1)
    seen = counts > 0
    return np.repeat(measure(others[seen]), counts[seen])


def _entropy(shares: np.ndarray) -> np.ndarray:
    return entr(shares).sum(axis=-1)


def _total_variation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return 0.5 * np.abs(first - second).sum(axis=-1)


def _mean_difference(p: float, n: int, m: int) -> float:
    """Returns ``E|X / n - Y / m|`` of binomial counts of n and m draws of probability ``p``."""
    from scipy.stats import binom

    x, y = (binom.pmf(np.arange(count + 1), count, p) for count in (n, m))
    below, part_below = np.cumsum(y), np.cumsum(y * np.arange(m + 1)) / m
    shares = np.arange(n + 1) / n
    last = np.arange(n + 1) * m // n
    distances = shares * (2 * below[last] - 1) + p - 2 * part_below[last]
    return float(x @ distances)
