"""Mean squared error of a denoiser at additive Gaussian noise."""

import math
from dataclasses import dataclass, field

import flax.linen as nn
import jax
import jax.numpy as jnp

from sde_jax.arrays import (
    Examples,
    PerExample,
    PRNGKeyArray,
    PyTree,
    as_examples,
    expand_like,
    pytree,
)
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.score import ScaledTime, ScoreModel, TimeCondition
from sde_jax.sde import VE
from sde_jax.validation import Positive, Spec, require, require_order


@dataclass(frozen=True, kw_only=True)
class DenoiserRegression(Spec):
    """The loss ``E |f(x_0 + level noise) - x_0|^2 / D`` of a denoiser f in D dimensions.

    Its minimizer is ``f(y) = E[x_0 | y]``. A noise conditional denoiser takes this expectation at
    the given level, a blind one over all levels (Kadkhodaie and Simoncelli 2021, arXiv:2007.13640).
    The logarithm of the level is uniform. The network F predicts the noise in y, with d the
    standard deviation of the data:

    ::

        conditional  f = y - level F(y / sqrt(d^2 + level^2), time of level)
        blind        f = y - size F(y / size, time of level_min),   size^2 = d^2 + |y|^2 / D

    This keeps the network's input and output near unit size, also at levels far above d.

    Raises:
      ValueError: unless ``0 < level_min < level_max``.
    """

    network: nn.Module
    """Called as ``network(x, time, condition, deterministic=...)``, without a condition."""
    noise_conditional: bool
    """Whether the network takes the level as its time; a blind network does not."""
    level_min: float
    """Smallest standard deviation of the noise, in units of the data; positive."""
    level_max: float
    """Largest standard deviation of the noise; sampling starts there."""
    time_condition: TimeCondition = ScaledTime()
    """Map from the level, as that of a `VE` between the two, to the network's time. The default
    grows with the logarithm of the level from 0 to 999; Fourier features need `LogNoiseLevel`."""
    data_deviation: Positive = 0.5
    """Standard deviation d of the data."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "level_min level_max", self.level_min > 0, "be positive")
        require_order(self, "level_min", "level_max", larger="level_max")

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Returns initial parameters for examples of ``shape`` without running the network."""
        return self._model.init(key, shape)

    def losses(
        self, params: PyTree, seeds: Seeds, x0: Examples, *, deterministic: bool = False
    ) -> PerExample:
        """Returns the loss of each example at its own random level and noise.

        See `DenoisingScoreMatching.losses` for the arguments.
        """
        x0 = as_examples("x0", x0)
        seeds_level, seeds_noise, seeds_dropout = seeds.split(3)
        low, high = math.log(self.level_min), math.log(self.level_max)
        levels = jnp.exp(low + (high - low) * jax.vmap(jax.random.uniform)(seeds_level.keys))
        noise = unit_noise(seeds_noise.keys, x0.shape[1:], x0.dtype)
        dropout_key = seeds_dropout.dropout_key(deterministic=deterministic)
        return self.losses_at(params, x0, levels, noise, dropout_key=dropout_key)

    def losses_at(
        self,
        params: PyTree,
        x0: Examples,
        level: PerExample,
        noise: Examples,
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> PerExample:
        """Returns the loss of each example at the given levels and noise."""
        y = x0 + expand_like(level, x0) * noise
        known = level if self.noise_conditional else None
        error = self.denoise(params, y, known, dropout_key=dropout_key) - x0
        return (error**2).reshape(x0.shape[0], -1).mean(axis=1)

    def denoise(
        self,
        params: PyTree,
        y: Examples,
        level: PerExample | None = None,
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> Examples:
        """Returns ``f(y)``; dropout is on if ``dropout_key`` is given.

        Raises:
          ValueError: if a noise conditional denoiser gets no level, or a blind one gets one.
        """
        if (level is not None) != self.noise_conditional:
            rule = "given" if self.noise_conditional else "omitted"
            raise ValueError(
                f"`level` must be {rule} for noise_conditional={self.noise_conditional}."
            )
        if level is None:
            square = (y**2).reshape(len(y), -1).mean(axis=1)
            size = expand_like(jnp.sqrt(self.data_deviation**2 + square), y)
            x, scale, t = y / size, size, jnp.zeros(len(y))
        else:
            x, scale, t = y, expand_like(level, y), self._sde.time_of(level)
        return y - scale * self._model.predict(params, x, t, dropout_key=dropout_key)

    def denoiser(self, params: PyTree) -> "NetworkDenoiser":
        """Returns the denoiser of these parameters, for `DenoiserScore` or `BlindDenoiserScore`."""
        return NetworkDenoiser(params, self)

    @property
    def _sde(self) -> VE:
        return VE(sigma_min=self.level_min, sigma_max=self.level_max)

    @property
    def _model(self) -> ScoreModel:
        """The network as a score model; a blind one gets its input unscaled."""
        return ScoreModel(
            network=self.network,
            sde=self._sde,
            time_condition=self.time_condition,
            data_deviation=self.data_deviation if self.noise_conditional else None,
        )


@pytree
@dataclass(frozen=True)
class NetworkDenoiser:
    """A trained denoiser; a pytree of its parameters."""

    params: PyTree
    regression: DenoiserRegression = field(metadata={"static": True})

    def __call__(self, y: Examples, level: PerExample | None = None) -> Examples:
        """Returns ``E[x_0 | y]`` for ``y = x_0 + level noise``; a blind denoiser takes no level."""
        return self.regression.denoise(self.params, y, level)
