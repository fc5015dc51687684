"""What measurements of Gaussian data tell, in numpy and float64; nothing here imports the library.

`recursion` follows mean and covariance of a sampler of linear steps exactly, in the limit of
infinitely many samples, so that a method's own bias can be told from that of its code.
"""

from dataclasses import dataclass

import numpy as np
from oracles import Mixture
from scipy.stats import multivariate_normal


def posterior(data: Mixture, matrix: np.ndarray, y: np.ndarray, noise: float) -> Mixture:
    """The mixture of x_0 given ``y = matrix x_0 + noise z``, by Bayes' rule for each component."""
    weights, means, covariances = [], [], []
    for w, m, c in zip(data.weights, data.means, data.covariances, strict=True):
        seen = matrix @ c @ matrix.T + noise**2 * np.eye(len(y))
        gain = c @ matrix.T @ np.linalg.inv(seen)
        weights.append(w * multivariate_normal(matrix @ m, seen).pdf(y))
        means.append(m + gain @ (y - matrix @ m))
        covariances.append(c - gain @ matrix @ c)
    return Mixture(np.array(weights) / sum(weights), np.stack(means), np.stack(covariances))


def correlated(correlation: float) -> np.ndarray:
    """The covariance of two coordinates of unit variance."""
    return np.array([[1.0, correlation], [correlation, 1.0]])


@dataclass(frozen=True)
class Linear:
    """VP with beta from .1 to 20."""

    def alpha(self, t: float) -> float:
        """The signal's scale."""
        return float(np.exp(-0.05 * t - 4.975 * t**2))

    def sigma(self, t: float) -> float:
        """The noise's deviation."""
        return float(np.sqrt(-np.expm1(-0.1 * t - 9.95 * t**2)))


def recursion(
    covariance: np.ndarray,
    method: str,
    *,
    noise: float = 0.01,
    seen: float = 1.0,
    steps: int = 1000,
    repeats: int = 1,
    last: float = 1e-3,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviations of what ancestral sampling makes of a Gaussian of mean 0, denoised.

    The first coordinate is ``seen``. Methods: ``plain``, which does not know it, ``pigdm``,
    ``ddnm``, and ``replacement`` with ``repeats``.
    """
    vp, eye = Linear(), np.eye(len(covariance))
    first = eye[:1]
    mean, spread = np.zeros(len(eye)), eye.copy()
    times = np.linspace(1, last, steps + 1)

    def guided(t: float) -> tuple[np.ndarray, np.ndarray]:
        """Matrix and offset of the score, which is affine."""
        a, s = vp.alpha(t), vp.sigma(t)
        score = -np.linalg.inv(a**2 * covariance + s**2 * eye)
        denoiser = (eye + s**2 * score) / a
        if method == "pigdm":
            variance = s**2 / (a**2 + s**2)
            gain = denoiser.T @ first.T / (variance + noise**2)
            return score - gain @ first @ denoiser, gain[:, 0] * seen
        if method == "ddnm":
            share = (s / a) ** 2 / ((s / a) ** 2 + noise**2)
            changed, offset = denoiser - share * first.T @ first @ denoiser, share * seen * eye[0]
            return (a * changed - eye) / s**2, a * offset / s**2
        return score, np.zeros(len(eye))

    for t, s in zip(times[:-1], times[1:], strict=True):
        scale = vp.alpha(t) / vp.alpha(s)
        added = vp.sigma(t) ** 2 - (scale * vp.sigma(s)) ** 2
        kept = added * (vp.sigma(s) / vp.sigma(t)) ** 2
        matrix, offset = guided(t)
        for repeat in range(repeats):
            step = (eye + added * matrix) / scale
            mean_s = step @ mean + added * offset / scale
            spread_s = step @ spread @ step.T + kept * eye
            if method == "replacement":
                mean_s[0] = vp.alpha(s) * seen
                spread_s[0], spread_s[:, 0] = 0, 0
                spread_s[0, 0] = vp.sigma(s) ** 2
            if repeat < repeats - 1:
                mean, spread = scale * mean_s, scale**2 * spread_s + added * eye
        mean, spread = mean_s, spread_s
    matrix, offset = guided(last)
    denoiser = (eye + vp.sigma(last) ** 2 * matrix) / vp.alpha(last)
    mean = denoiser @ mean + vp.sigma(last) ** 2 / vp.alpha(last) * offset
    return mean, np.sqrt(np.diag(denoiser @ spread @ denoiser.T))
