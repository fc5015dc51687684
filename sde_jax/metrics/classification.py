"""The Inception Score."""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike
from scipy.special import entr, softmax

from sde_jax.metrics.estimate import as_features

CHUNK = 2048
"""Rows whose leave-one-out replicates are computed at once."""


class InceptionScore(NamedTuple):
    """An Inception Score; papers report it with the standard deviation of ``split_scores``."""

    value: float
    """Mean over splits."""
    stderr: float
    """Standard error of the value, by the jackknife over images; NaN if a split has a single
    image."""
    counts: tuple[int]
    """Number of images."""
    split_scores: tuple[float, ...]


def inception_score(logits: ArrayLike, *, splits: int = 10) -> InceptionScore:
    """Returns ``exp(mean_n KL(p_n | mean p))`` of ``p = softmax(logits)``.

    Salimans et al. 2016, sec. 4. Split ``i`` holds the rows from ``i n // splits`` to
    ``(i + 1) n // splits``, in order. The score grows with the size of a split, so only scores with
    equal split sizes are comparable.

    Args:
      logits: ``[count, classes]``; for published scores, Inception's 1008 logits without their
        bias.
      splits: number of splits, each with its own score; 10 in most papers, 1 in score_sde.

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
    """Returns the score of one split and its jackknife variance."""
    p = softmax(logits, axis=1)
    entropies, total, n = entr(p).sum(axis=1), p.sum(axis=0), len(p)
    score = np.exp(entr(total / n).sum() - entropies.mean())
    if n < 2:
        return float(score), float("nan")
    parts = ((total - p[i : i + CHUNK]) / (n - 1) for i in range(0, n, CHUNK))
    others = np.concatenate([entr(part.clip(0)).sum(axis=1) for part in parts])
    replicates = np.exp(others - (entropies.sum() - entropies) / (n - 1))
    return float(score), float((n - 1) * np.var(replicates))
