"""What the tests hold the library against: re-derivations in numpy and scipy, in float64.

Nothing here imports the library, and nothing repeats its formulas: a forward process is given by
its drift and diffusion alone, and its transition is had by numerical integration; mixtures carry
full covariance matrices; the probability flow is solved by an eighth-order method at 1e-10.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm


@dataclass(frozen=True)
class Process:
    """``dx = rate(t) x dt + sqrt(diffusion_squared(t)) dw``, started with ``initial_variance``."""

    rate: Callable[[float], float]
    diffusion_squared: Callable[[float], float]
    initial_variance: float = 0.0
    initial_alpha: float = 1.0

    def alpha(self, t: float) -> float:
        """The factor by which the mean has shrunk at ``t``."""
        integral = quad(self.rate, 0, t, epsabs=1e-13, epsrel=1e-13, limit=200)[0]
        return self.initial_alpha * np.exp(integral)

    def sigma(self, t: float) -> float:
        """The deviation at ``t``, by variation of constants."""

        def added(s: float) -> float:
            decay = quad(self.rate, s, t, epsabs=1e-13, epsrel=1e-13, limit=200)[0]
            return np.exp(2 * decay) * self.diffusion_squared(s)

        start = self.initial_variance * (self.alpha(t) / self.initial_alpha) ** 2
        return np.sqrt(start + quad(added, 0, t, epsabs=0, epsrel=1e-11, limit=200)[0])


def _linear_beta(t: float) -> float:
    return 0.1 + 19.9 * t


def _cosine_end(log_snr: float) -> float:
    """The u at which ``-2 log tan(pi u / 2)`` is ``log_snr``."""
    return brentq(
        lambda u: -2 * np.log(np.tan(np.pi * u / 2)) - log_snr, 1e-9, 1 - 1e-9, xtol=1e-15
    )


def _cosine() -> Process:
    first, last = _cosine_end(15.0), _cosine_end(-10.0)

    def beta(t: float) -> float:
        # alpha = cos(pi u / 2) shrinks at the rate -beta / 2: its log's slope, by a complex step
        complement = np.pi / 2 * (1 - first - (last - first) * (t + 1e-30j))
        return -2 * np.log(np.sin(complement)).imag / 1e-30

    alpha = np.cos(np.pi / 2 * first)
    return Process(lambda t: -0.5 * beta(t), beta, 1 - alpha**2, alpha)


PROCESSES = {
    "vp": Process(lambda t: -0.5 * _linear_beta(t), _linear_beta),
    "subvp": Process(
        lambda t: -0.5 * _linear_beta(t),
        lambda t: _linear_beta(t) * -np.expm1(-2 * quad(_linear_beta, 0, t)[0]),
    ),
    "ve": Process(
        lambda t: 0.0,
        lambda t: (0.01 * 5000.0**t) ** 2 * 2 * np.log(5000.0),
        initial_variance=0.01**2,
    ),
    "ou": Process(lambda t: -5.0, lambda t: 10.0),
    "cosine": _cosine(),
    "flow-matching": Process(
        lambda t: -152 / (153 - 152 * t), lambda t: 2 * (152 / 153) ** 2 * t / (1 - 152 / 153 * t)
    ),
}


@dataclass(frozen=True)
class Mixture:
    """A Gaussian mixture with full covariance matrices, as noised by ``alpha`` and ``sigma``."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def noised(self, alpha: float, sigma: float) -> "Mixture":
        """The mixture of ``alpha x + sigma noise``."""
        noise = sigma**2 * np.eye(self.means.shape[1])
        return Mixture(self.weights, alpha * self.means, alpha**2 * self.covariances + noise)

    def _log_joint(self, x: np.ndarray) -> np.ndarray:
        parts = [
            np.log(w) + np.atleast_1d(multivariate_normal(m, c).logpdf(x))
            for w, m, c in zip(self.weights, self.means, self.covariances, strict=True)
        ]
        return np.stack(parts, axis=1)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Log density at each row of ``x``."""
        return logsumexp(self._log_joint(x), axis=1)

    def score(self, x: np.ndarray) -> np.ndarray:
        """Gradient of the log density at each row of ``x``."""
        joint = self._log_joint(x)
        shares = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        pulls = [
            -np.linalg.solve(c, (x - m).T).T
            for m, c in zip(self.means, self.covariances, strict=True)
        ]
        return np.einsum("nk,kni->ni", shares, np.stack(pulls))

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Distribution function of a one-dimensional mixture."""
        parts = [
            w * norm.cdf(x, m[0], np.sqrt(c[0, 0]))
            for w, m, c in zip(self.weights, self.means, self.covariances, strict=True)
        ]
        return np.sum(parts, axis=0)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of each coordinate."""
        mean = self.weights @ self.means
        second = np.diagonal(self.covariances, axis1=1, axis2=2) + self.means**2
        return mean, np.sqrt(self.weights @ second - mean**2)


def posterior_mean(data: Mixture, alpha: float, sigma: float, x: float) -> float:
    """``E[x_0 | alpha x_0 + sigma noise = x]`` of one-dimensional data, by quadrature."""

    def weight(x0: float) -> float:
        parts = norm.pdf(x0, data.means[:, 0], np.sqrt(data.covariances[:, 0, 0]))
        return float(data.weights @ parts) * norm.pdf(x, alpha * x0, sigma)

    low = data.means.min() - 12 * np.sqrt(data.covariances.max())
    high = data.means.max() + 12 * np.sqrt(data.covariances.max())
    peak = np.clip([x / alpha, *data.means[:, 0]], low, high)
    options = {"points": np.sort(peak), "limit": 500, "epsabs": 0, "epsrel": 1e-10}
    total = quad(weight, low, high, **options)[0]
    return quad(lambda x0: x0 * weight(x0), low, high, **options)[0] / total


def probability_flow(
    process: Process,
    data: Mixture,
    coefficients: Callable[[float], tuple[float, float]],
    x: np.ndarray,
    t: float,
    s: float,
) -> np.ndarray:
    """Carries the rows of ``x`` from ``t`` to ``s``; ``coefficients`` gives alpha and sigma."""

    def drift(time: float, flat: np.ndarray) -> np.ndarray:
        rows = flat.reshape(x.shape)
        score = data.noised(*coefficients(time)).score(rows)
        return (process.rate(time) * rows - 0.5 * process.diffusion_squared(time) * score).ravel()

    solution = solve_ivp(drift, (t, s), x.ravel(), method="DOP853", rtol=1e-10, atol=1e-10)
    return solution.y[:, -1].reshape(x.shape)
