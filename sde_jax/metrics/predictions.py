"""What a classifier predicts of generated images, against what it predicts of real ones."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from sde_jax.metrics.estimate import (
    Estimate,
    as_features,
    check_dimensions,
    jackknife_stderr,
)

__all__ = ["LabelDistance", "Predicted", "Predictions", "expected_label_distance", "predictions"]


class Predicted(NamedTuple):
    """What a classifier predicts of one set of images."""

    mean_max_logit: Estimate
    """Mean of the largest logit."""
    unsure_share: Estimate
    """Share of images whose most probable label has a probability below the threshold."""
    unsure: np.ndarray
    """Indices of these images, the least sure first."""
    label_shares: tuple[Estimate, ...]
    """Share of images of each predicted label."""
    entropy: Estimate
    """Of the distribution of predicted labels, in nats."""
    best: tuple[int | None, ...]
    """For each label the image with the largest logit of it, of those predicted to have it; None
    where there are none."""


class LabelDistance(NamedTuple):
    """Total variation distance of two distributions of predicted labels, in [0, 1]."""

    value: float
    stderr: float
    """By leaving out each image in turn. It does not hold where the value is near `expected`."""
    expected: float
    """The mean distance of two sets of these sizes of the real images' distribution."""
    counts: tuple[int, int]
    """Images of each set: generated, real."""


class Predictions(NamedTuple):
    """What a classifier predicts of generated and of real images."""

    generated: Predicted
    real: Predicted
    label_distance: LabelDistance
    threshold: float
    """Below this probability of its most probable label the classifier is unsure of an image."""


def predictions(
    generated_logits: ArrayLike, real_logits: ArrayLike, *, threshold: float = 0.9
) -> Predictions:
    """Measures the predictions ``argmax(logits)``, of probability ``softmax(logits)``.

    Args:
      generated_logits: ``[count, classes]``.
      real_logits: others of the same classes.
      threshold: probability below which a prediction is unsure.

    Raises:
      ValueError: if a set has fewer than two images, the classes differ in number, or the threshold
        is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"`threshold` must lie in (0, 1]: got {threshold}.")
    x, y = as_features(generated_logits, least=2), as_features(real_logits, least=2)
    check_dimensions(x.shape[1], y.shape[1])
    return Predictions(
        _predicted(x, threshold), _predicted(y, threshold), _label_distance(x, y), threshold
    )


def expected_label_distance(shares: ArrayLike, first: int, second: int) -> float:
    """The mean total variation distance of two sets of labels that are drawn with these shares.

    ``1/2 sum_k E|X_k / n - Y_k / m|``, exactly, of binomial counts ``X_k`` and ``Y_k``.

    Args:
      shares: of each label.
      first: images of one set, n.
      second: images of the other, m.
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
        mean_max_logit=_mean(largest),
        unsure_share=_mean(confidence < threshold),
        unsure=unsure[np.argsort(confidence[unsure], kind="stable")],
        label_shares=tuple(_mean(labels == label) for label in classes),
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


def _mean(values: np.ndarray) -> Estimate:
    """The mean, whose jackknife over rows is the deviation over the root of their number."""
    count = len(values)
    return Estimate(float(values.mean()), float(values.std(ddof=1)) / count**0.5, (count,))


def _without(counts: np.ndarray, measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A measure of label shares without each image in turn: alike for images of the same label."""
    others = (counts - np.eye(len(counts))) / (counts.sum() - 1)
    seen = counts > 0
    return np.repeat(measure(others[seen]), counts[seen])


def _entropy(shares: np.ndarray) -> np.ndarray:
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logs).sum(axis=-1)


def _total_variation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return 0.5 * np.abs(first - second).sum(axis=-1)


def _mean_difference(p: float, n: int, m: int) -> float:
    """``E|X / n - Y / m|`` of binomial counts of n and m draws of probability ``p``."""
    x, y = _binomial(p, n), _binomial(p, m)
    below, part_below = np.cumsum(y), np.cumsum(y * np.arange(m + 1)) / m
    shares = np.arange(n + 1) / n
    last = np.arange(n + 1) * m // n
    distances = shares * (2 * below[last] - 1) + p - 2 * part_below[last]
    return float(x @ distances)


def _binomial(p: float, n: int) -> np.ndarray:
    """Probabilities of 0..n."""
    if p in (0.0, 1.0):
        return np.eye(n + 1)[0 if p == 0 else n]
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    k = np.arange(n + 1)
    logs = factorials[n] - factorials - factorials[::-1] + k * np.log(p) + (n - k) * np.log1p(-p)
    return np.exp(logs)
