"""Four simulators of the benchmark of Lueckmann et al. 2021 (arXiv:2101.04653, appendix T)."""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from sde_jax.data.box_scaling import BoxScaling
from sde_jax.data.simulator import Rows, Simulator


def cube(bound: float, dimensions: int) -> BoxScaling:
    """Returns the cube from ``-bound`` to ``bound``."""
    return BoxScaling(low=(-bound,) * dimensions, high=(bound,) * dimensions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoMoons(Simulator):
    """Two parameters whose posterior is two crescents, one the mirror image of the other.

    The simulation is ``(r cos a + 1/4 - |p + q| / sqrt 2, r sin a + (q - p) / sqrt 2)`` for the
    parameters ``(p, q)``, with ``a ~ U(-pi/2, pi/2)`` and ``r ~ N(.1, .01^2)``. The prior is
    uniform in [-1, 1]^2 (T.8).
    """

    prior: ClassVar[BoxScaling] = cube(1.0, 2)

    def simulate(self, rng: np.random.Generator, parameters: Rows) -> Rows:
        """Returns a point ``[count, 2]`` for each row."""
        angle = rng.uniform(-math.pi / 2, math.pi / 2, len(parameters))
        radius = rng.normal(0.1, 0.01, len(parameters))
        p, q = parameters.T
        first = radius * np.cos(angle) + 0.25 - np.abs(p + q) / math.sqrt(2)
        return np.stack([first, radius * np.sin(angle) + (q - p) / math.sqrt(2)], axis=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SLCP(Simulator):
    """A simple likelihood with a complex posterior: four points of one Gaussian in the plane.

    Its mean is ``(p1, p2)``, its deviations are ``p3^2`` and ``p4^2``, and its correlation is
    ``tanh p5``. The prior is uniform in [-3, 3]^5 (T.3).
    """

    prior: ClassVar[BoxScaling] = cube(3.0, 5)
    points: ClassVar[int] = 4

    def simulate(self, rng: np.random.Generator, parameters: Rows) -> Rows:
        """Returns the points one after the other, ``[count, 8]``."""
        mean, deviations = parameters[:, None, :2], parameters[:, None, 2:4] ** 2
        correlation = np.tanh(parameters[:, 4:])
        u, v = rng.normal(size=(2, len(parameters), self.points))
        v = correlation * u + np.sqrt(1 - correlation**2) * v
        return (mean + deviations * np.stack([u, v], axis=-1)).reshape(len(parameters), -1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianLinearUniform(Simulator):
    """Ten parameters plus Gaussian noise of variance .1; the prior is uniform in [-1, 1]^10.

    The posterior is the Gaussian of this variance about the simulation, cut off at the bounds
    (T.2).
    """

    prior: ClassVar[BoxScaling] = cube(1.0, 10)

    def simulate(self, rng: np.random.Generator, parameters: Rows) -> Rows:
        """Returns the noisy parameters."""
        return parameters + math.sqrt(0.1) * rng.normal(size=parameters.shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianMixtureMean(Simulator):
    """Two parameters plus Gaussian noise of deviation 1 or .1, with probability one half each.

    The prior is uniform in [-10, 10]^2 (T.7, ``gaussian_mixture``).
    """

    prior: ClassVar[BoxScaling] = cube(10.0, 2)

    def simulate(self, rng: np.random.Generator, parameters: Rows) -> Rows:
        """Returns the noisy parameters."""
        deviation = rng.choice([1.0, 0.1], (len(parameters), 1))
        return parameters + deviation * rng.normal(size=parameters.shape)
