"""Which times a batch is trained at."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.sde import LinearSDE
from sde_jax.sde.discrete import check_levels


class SampledTimes(NamedTuple):
    """Times and their importance: the density of uniform times over the density they came from."""

    t: Float[Array, "batch"]
    importance: Float[Array, "batch"]


class TimeSampler(Protocol):
    """Draws the training time of each example of a batch from its seed.

    The mean of ``importance * f(t)`` estimates the mean of f over time. A sampler whose density
    belongs to the loss says so; its importance is 1.
    """

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes: ...


def check_t_min(t_min: float) -> None:
    """Raises `ValueError` unless ``t_min`` lies strictly between 0 and 1."""
    if not 0 < t_min < 1:
        raise ValueError(
            f"`t_min` must lie between 0 and 1: got t_min={t_min}. "
            "The loss is singular at t = 0; 1e-5 is usual."
        )


@dataclass(frozen=True, kw_only=True)
class UniformTimes:
    """Independent times, uniform on [t_min, 1].

    Raises:
      ValueError: unless ``0 < t_min < 1``.
    """

    t_min: float = 1e-5
    """Smallest time trained at."""

    def __post_init__(self) -> None:
        check_t_min(self.t_min)

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        """Draws the time of each example."""
        t = self.t_min + (1 - self.t_min) * jax.vmap(jax.random.uniform)(seeds.keys)
        return SampledTimes(t, jnp.ones_like(t))


@dataclass(frozen=True, kw_only=True)
class StratifiedTimes:
    """One time from each of as many equal strata of [t_min, 1] as a batch has examples.

    Each is uniform; their mean has less variance than that of independent times.

    Raises:
      ValueError: unless ``0 < t_min < 1``.
    """

    t_min: float = 1e-5
    """Smallest time trained at."""

    def __post_init__(self) -> None:
        check_t_min(self.t_min)

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        """Draws the time of each example; over a batch they increase."""
        t = self.t_min + (1 - self.t_min) * seeds.quantiles
        return SampledTimes(t, jnp.ones_like(t))


@dataclass(frozen=True, kw_only=True)
class LikelihoodTimes:
    """Times of density ``g^2 / sigma^2``, under which the likelihood weighting has no variance.

    ``g^2 / sigma^2`` is the derivative of ``2 log r``, r = noise_to_signal. Hence
    ``t = time_of(exp(u))`` with u uniform between ``log r(t_min)`` and ``log r(1)``, for every SDE;
    for VP and sub-VP this is sec. 4 and app. A of Song et al. 2021b (arXiv:2101.09258) in closed
    form. Drawn from strata.

    Raises:
      ValueError: unless ``0 < t_min < 1``.
    """

    t_min: float = 1e-5
    """Smallest time trained at."""

    def __post_init__(self) -> None:
        check_t_min(self.t_min)

    def normalizer(self, sde: LinearSDE) -> Float[Array, ""]:
        """The integral of ``g^2 / sigma^2`` from t_min to 1: ``2 log(r(1) / r(t_min))``."""
        low, high = self._log_range(sde)
        return 2 * (high - low)

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        """Draws the time of each example; over a batch they increase."""
        low, high = self._log_range(sde)
        u = low + (high - low) * seeds.quantiles
        t = jnp.clip(sde.time_of(jnp.exp(u)), self.t_min, 1.0)
        density = sde.diffusion_squared(t) / sde.sigma(t) ** 2 / self.normalizer(sde)
        return SampledTimes(t, 1 / (density * (1 - self.t_min)))

    def _log_range(self, sde: LinearSDE) -> tuple[Array, Array]:
        ends = jnp.log(sde.noise_to_signal(jnp.asarray([self.t_min, 1.0])))
        return ends[0], ends[1]


@dataclass(frozen=True, kw_only=True)
class DiscreteTimes:
    """Independent times, uniform among the N times ``i / (N - 1)``: the levels of a chain.

    The losses of DDPM and SMLD are taken there. The first is t = 0, where the weight
    ``g^2 / sigma^2`` of a VP process is infinite.

    Raises:
      ValueError: unless ``levels`` is at least 2.
    """

    levels: int = 1000
    """Noise levels, N."""

    def __post_init__(self) -> None:
        check_levels(self.levels)

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        """Draws the time of each example."""
        times = jnp.asarray(np.arange(self.levels) / (self.levels - 1), jnp.result_type(float))
        t = times[jax.vmap(lambda key: jax.random.randint(key, (), 0, self.levels))(seeds.keys)]
        return SampledTimes(t, jnp.ones_like(t))


@dataclass(frozen=True, kw_only=True)
class LogNormalNoise:
    """Times at which the logarithm of noise_to_signal is normal (Karras et al. 2022, table 1).

    The density is a part of the loss, not a way to estimate a mean over uniform times: the
    importance is 1. Noise levels are drawn as they are. Where the process does not reach one in
    [0, 1], t lies outside, and its coefficients go on.

    Raises:
      ValueError: unless ``deviation`` is positive.
    """

    mean: float = -1.2
    """Mean of the logarithm; the default is for data of deviation 0.5."""
    deviation: float = 1.2
    """Standard deviation of the logarithm."""

    def __post_init__(self) -> None:
        if not self.deviation > 0:
            raise ValueError(f"`deviation` must be positive: got deviation={self.deviation}.")

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        """Draws the time of each example."""
        level = jnp.exp(self.mean + self.deviation * unit_noise(seeds.keys, ()))
        return SampledTimes(sde.time_of(level), jnp.ones_like(level))
