"""Parameterizations: the regression target of a network, and the score given its output.

``to_score`` is affine in the network's output. With ``x = alpha x0 + sigma noise``,
``to_score(target)`` is ``-noise / sigma``.
"""

from dataclasses import dataclass
from typing import Protocol

from sde_jax.arrays import Array
from sde_jax.validation import Positive, Spec


class Parameterization(Protocol):
    """The regression target of a network, and the score given its output.

    Arguments broadcast; ``alpha`` and ``sigma`` are those of the SDE at t.
    """

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        """Returns the network's regression target at ``x = alpha x0 + sigma noise``."""
        ...

    def to_score(self, output: Array, x: Array, alpha: Array, sigma: Array) -> Array:
        """Returns the score at ``x`` given the network's ``output``; affine in ``output``."""
        ...


@dataclass(frozen=True)
class NoisePrediction:
    """The network predicts the noise: ``score = -output / sigma`` (Ho et al. 2020, sec. 3.2)."""

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        return noise

    def to_score(self, output: Array, x: Array, alpha: Array, sigma: Array) -> Array:
        return -output / sigma


@dataclass(frozen=True)
class DataPrediction:
    """The network predicts the data, x0: ``score = (alpha output - x) / sigma^2``."""

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        return x0

    def to_score(self, output: Array, x: Array, alpha: Array, sigma: Array) -> Array:
        return (alpha * output - x) / sigma**2


@dataclass(frozen=True)
class VelocityPrediction:
    """The network predicts v of Salimans and Ho 2022 (arXiv:2202.00512, app. D), for any SDE.

    ``v = (alpha noise - sigma x0) / rho`` with ``rho^2 = alpha^2 + sigma^2``, which is 1 for VP.
    ``(x / rho, v)`` is a rotation of ``(x0, noise)``, hence
    ``noise = (alpha v + sigma x / rho) / rho``.
    """

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        return (alpha * noise - sigma * x0) / (alpha**2 + sigma**2) ** 0.5

    def to_score(self, output: Array, x: Array, alpha: Array, sigma: Array) -> Array:
        square = alpha**2 + sigma**2
        return -(alpha / sigma * output / square**0.5 + x / square)


@dataclass(frozen=True)
class FlowPrediction:
    """The network predicts the velocity of flow matching, ``u = noise - x0``, for any SDE.

    It is dx/dt for ``x = (1 - t) x0 + t noise`` (Lipman et al. 2023, arXiv:2210.02747; Liu et al.
    2023, arXiv:2209.03003) and is not the v of `VelocityPrediction`. In general::

        x0 = (x - sigma u) / (alpha + sigma)        noise = (x + alpha u) / (alpha + sigma)
    """

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        return noise - x0

    def to_score(self, output: Array, x: Array, alpha: Array, sigma: Array) -> Array:
        return -(x + alpha * output) / (sigma * (alpha + sigma))


@dataclass(frozen=True)
class ScorePrediction:
    """The network predicts the score itself."""

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        return -noise / sigma

    def to_score(self, output: Array, x: Array, alpha: Array, sigma: Array) -> Array:
        return output


@dataclass(frozen=True, kw_only=True)
class EDMPrediction(Spec):
    """The network predicts the F of Karras et al. 2022 (arXiv:2206.00364, table 1), for any SDE.

    In ``y = x / alpha`` and ``r = sigma / alpha``, the sigma of that paper, the denoised data are
    ``c_skip y + c_out F``, with d the standard deviation of the data and

    ::

        c_skip = d^2 / (r^2 + d^2)        c_out = r d / sqrt(r^2 + d^2)

    The rest of the table is set in `ScoreModel`: ``data_deviation`` gives c_in, and `LogNoiseLevel`
    of scale 0.25 gives c_noise.
    """

    data_deviation: Positive = 0.5
    """Standard deviation d of the data."""

    def target(self, x0: Array, noise: Array, alpha: Array, sigma: Array) -> Array:
        d = self.data_deviation
        return (sigma * x0 - alpha * d**2 * noise) / (d * self._size(alpha, sigma))

    def to_score(self, output: Array, x: Array, alpha: Array, sigma: Array) -> Array:
        size = self._size(alpha, sigma)
        return alpha * self.data_deviation / (sigma * size) * output - x / size**2

    def _size(self, alpha: Array, sigma: Array) -> Array:
        """Returns the standard deviation of x."""
        return ((alpha * self.data_deviation) ** 2 + sigma**2) ** 0.5
