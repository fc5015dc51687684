"""Distributions of training times."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, PerExample
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.sde import LinearSDE
from sde_jax.validation import Levels, Positive, Spec


class SampledTimes(NamedTuple):
    """Times and their importance, the ratio of the uniform density to the sampling density."""

    t: PerExample
    importance: PerExample


class TimeSampler(Protocol):
    """Draws the training time of each example of a batch from its seed.

    The mean of ``importance * f(t)`` estimates the mean of f over time. If the density is part of
    the loss, the importance is 1.
    """

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes: ...


@dataclass(frozen=True, kw_only=True)
class _Interval(Spec):
    """Base of samplers of times in [t_min, 1]."""

    t_min: float = 1e-5
    """Smallest training time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.t_min < 1:
            raise ValueError(
                f"`t_min` must lie between 0 and 1: got t_min={self.t_min}. "
                "The loss is singular at t = 0; 1e-5 is usual."
            )


@dataclass(frozen=True, kw_only=True)
class UniformTimes(_Interval):
    """Independent uniform times on [t_min, 1].

    Raises:
      ValueError: unless ``0 < t_min < 1``.
    """

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        t = self.t_min + (1 - self.t_min) * jax.vmap(jax.random.uniform)(seeds.keys)
        return SampledTimes(t, jnp.ones_like(t))


@dataclass(frozen=True, kw_only=True)
class StratifiedTimes(_Interval):
    """Stratified uniform times on [t_min, 1], with one equal stratum for each example of a batch.

    Each time is uniform. Their mean has less variance than the mean of independent times.

    Raises:
      ValueError: unless ``0 < t_min < 1``.
    """

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        """Draws the time of each example; times increase over a batch."""
        t = self.t_min + (1 - self.t_min) * seeds.quantiles
        return SampledTimes(t, jnp.ones_like(t))


@dataclass(frozen=True, kw_only=True)
class LikelihoodTimes(_Interval):
    """Stratified times of density ``g^2 / sigma^2``, which cancels the likelihood weight.

    ``g^2 / sigma^2`` is the derivative of ``2 log r``, r = noise_to_signal. Hence
    ``t = time_of(exp(u))`` for every SDE, with u uniform between ``log r(t_min)`` and ``log r(1)``.
    For VP and sub-VP this is the closed form of sec. 4 and app. A of Song et al. 2021b
    (arXiv:2101.09258).

    Raises:
      ValueError: unless ``0 < t_min < 1``.
    """

    def normalizer(self, sde: LinearSDE) -> Float[Array, ""]:
        """Returns the integral of ``g^2 / sigma^2`` from t_min to 1, ``2 log(r(1) / r(t_min))``."""
        low, high = self._log_range(sde)
        return 2 * (high - low)

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        """Draws the time of each example; times increase over a batch."""
        low, high = self._log_range(sde)
        u = low + (high - low) * seeds.quantiles
        t = jnp.clip(sde.time_of(jnp.exp(u)), self.t_min, 1.0)
        density = sde.diffusion_squared(t) / sde.sigma(t) ** 2 / self.normalizer(sde)
        return SampledTimes(t, 1 / (density * (1 - self.t_min)))

    def _log_range(self, sde: LinearSDE) -> tuple[Array, Array]:
        ends = jnp.log(sde.noise_to_signal(jnp.asarray([self.t_min, 1.0])))
        return ends[0], ends[1]


@dataclass(frozen=True, kw_only=True)
class DiscreteTimes(Spec):
    """Independent uniform times on the grid ``i / (N - 1)``, the levels of a discrete chain.

    The losses of DDPM and SMLD use them. The first time is 0, where the weight ``g^2 / sigma^2`` of
    a VP process is infinite.
    """

    levels: Levels = 1000
    """Number of noise levels, N."""

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        times = jnp.asarray(np.arange(self.levels) / (self.levels - 1), jnp.result_type(float))
        t = times[jax.vmap(lambda key: jax.random.randint(key, (), 0, self.levels))(seeds.keys)]
        return SampledTimes(t, jnp.ones_like(t))


@dataclass(frozen=True, kw_only=True)
class LogitNormalTimes(Spec):
    """Times whose logit, ``log(t / (1 - t))``, is normal (Esser et al. 2024, sec. 3.1).

    The density is part of the loss, so the importance is 1 (arXiv:2403.03206, eq. 19).
    """

    mean: float = 0.0
    """Mean of the logit; negative values favour times near the data."""
    deviation: Positive = 1.0
    """Standard deviation of the logit."""

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        t = jax.nn.sigmoid(self.mean + self.deviation * unit_noise(seeds.keys, ()))
        return SampledTimes(t, jnp.ones_like(t))


@dataclass(frozen=True, kw_only=True)
class LogNormalNoise(Spec):
    """Times whose noise_to_signal is log-normal (Karras et al. 2022, table 1).

    The density is part of the loss, so the importance is 1. Noise levels are not clipped. For a
    level that the process does not reach in [0, 1], t lies outside and the coefficients are
    extrapolated.
    """

    mean: float = -1.2
    """Mean of the logarithm; the default suits data of standard deviation 0.5."""
    deviation: Positive = 1.2
    """Standard deviation of the logarithm."""

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        level = jnp.exp(self.mean + self.deviation * unit_noise(seeds.keys, ()))
        return SampledTimes(sde.time_of(level), jnp.ones_like(level))
