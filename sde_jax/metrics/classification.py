"""Measures of what a classifier says of generated images."""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from sde_jax.metrics.estimate import as_features

__all__ = ["InceptionScore", "inception_score"]

TINY = np.finfo(np.float64).tiny
CHUNK = 2048
"""Rows that are left out at once."""


class InceptionScore(NamedTuple):
    """An Inception Score; the deviation of ``split_scores`` is what is published beside it."""

    value: float
    """The mean over splits."""
    stderr: float
    """Of the value, by leaving out each image in turn; NaN if a split has but one."""
    counts: tuple[int]
    """Images used."""
    split_scores: tuple[float, ...]


def inception_score(logits: ArrayLike, *, splits: int = 10) -> InceptionScore:
    """``exp(mean_n KL(p_n | mean p))`` of ``p = softmax(logits)`` (Salimans et al. 2016, sec. 4).

    Split ``i`` has the rows from ``i n // splits`` to ``(i + 1) n // splits``, in their order.
    The score grows with the images of a split: only those of equal sizes compare.

    Args:
      logits: ``[count, classes]``; for published scores, Inception's 1008 without their bias.
      splits: parts of which each gives a score; 10 in most papers, 1 in score_sde.

    Raises:
      ValueError: if there are fewer images than splits.
    """
    if splits < 1:
        raise ValueError(f"`splits` must be at least 1: got {splits}.")
    x = as_features(logits, least=splits)
    ends = [i * len(x) // splits for i in range(splits + 1)]
    parts = [_score(x[start:end]) for start, end in zip(ends, ends[1:], strict=False)]
    scores, variances = zip(*parts, strict=True)
    stderr = float(np.sqrt(np.sum(variances))) / splits
    return InceptionScore(float(np.mean(scores)), stderr, (len(x),), scores)


def _score(logits: np.ndarray) -> tuple[float, float]:
    """The score of one split, and its variance by the jackknife."""
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    negentropies, total, n = (p * log_p).sum(axis=1), p.sum(axis=0), len(p)
    score = np.exp(negentropies.mean() - _negentropy(total / n))
    if n < 2:
        return float(score), float("nan")
    others = np.concatenate(
        [_negentropy((total - p[i : i + CHUNK]) / (n - 1)) for i in range(0, n, CHUNK)]
    )
    replicates = np.exp((negentropies.sum() - negentropies) / (n - 1) - others)
    return float(score), float((n - 1) * np.var(replicates))


def _negentropy(p: np.ndarray) -> np.ndarray:
    return (p * np.log(np.maximum(p, TINY))).sum(axis=-1)
