"""The mean squared error of a plain denoiser, which knows no SDE."""

import math
from dataclasses import dataclass, field

import flax.linen as nn
import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PRNGKeyArray, PyTree, expand_like, pytree
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.score import ScaledTime, ScoreModel, TimeCondition
from sde_jax.score.parameterization import check_deviation
from sde_jax.sde import VE


@dataclass(frozen=True, kw_only=True)
class DenoiserRegression:
    """The loss ``E |f(x_0 + level noise) - x_0|^2 / D``, of a denoiser f in D dimensions.

    It is least for ``f(y) = E[x_0 | y]``: told the level, at that level; blind, over all levels
    that y may have (Kadkhodaie and Simoncelli 2021, arXiv:2007.13640). The logarithm of the level
    is uniform. The network F predicts the noise in y, with d the deviation of the data:

    ::

        told     f = y - level F(y / sqrt(d^2 + level^2), time of level)
        blind    f = y - size F(y / size, time of level_min),   size^2 = d^2 + |y|^2 / D

    so that its input and output are of about unit size at levels far above d, too.

    Raises:
      ValueError: unless ``0 < level_min < level_max`` and ``data_deviation`` is positive.
    """

    network: nn.Module
    """Called as ``network(x, time, condition, deterministic=...)``, without a condition."""
    told: bool
    """Whether the network is told the level."""
    level_min: float
    """Least deviation of the noise, in units of the data; positive."""
    level_max: float
    """Largest deviation of the noise; sampling starts there."""
    time_condition: TimeCondition = ScaledTime()
    """What tells the network the level, taken for that of `VE` between the two: by default a time
    that grows with its logarithm from 0 to 999. Fourier features want `LogNoiseLevel`."""
    data_deviation: float = 0.5
    """Standard deviation d of the data."""

    def __post_init__(self) -> None:
        got = f"got level_min={self.level_min}, level_max={self.level_max}"
        if not self.level_min > 0:
            raise ValueError(f"`level_min` must be positive: {got}.")
        if not self.level_max > self.level_min:
            raise ValueError(f"`level_max` must exceed `level_min`: {got}. Did you swap them?")
        check_deviation(self.data_deviation)

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Initial parameters, for examples of ``shape``; the network is not run for them."""
        return self._model.init(key, shape)

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x0: Float[Array, "batch *shape"],
        *,
        deterministic: bool = False,
    ) -> Float[Array, "batch"]:
        """Returns the loss of each example at a level and noise of its own.

        Args:
          params: the network's parameters.
          seeds: fix levels, noise and dropout.
          x0: examples, in model coordinates.
          deterministic: turns dropout off.
        """
        seeds_level, seeds_noise, seeds_dropout = seeds.split(3)
        low, high = math.log(self.level_min), math.log(self.level_max)
        levels = jnp.exp(low + (high - low) * jax.vmap(jax.random.uniform)(seeds_level.keys))
        noise = unit_noise(seeds_noise.keys, x0.shape[1:], x0.dtype)
        dropout_key = seeds_dropout.dropout_key(deterministic=deterministic)
        return self.losses_at(params, x0, levels, noise, dropout_key=dropout_key)

    def losses_at(
        self,
        params: PyTree,
        x0: Float[Array, "batch *shape"],
        level: Float[Array, "batch"],
        noise: Float[Array, "batch *shape"],
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch"]:
        """Each example's loss at the given levels and noise."""
        y = x0 + expand_like(level, x0) * noise
        error = self.denoise(params, y, level if self.told else None, dropout_key=dropout_key) - x0
        return (error**2).reshape(x0.shape[0], -1).mean(axis=1)

    def denoise(
        self,
        params: PyTree,
        y: Float[Array, "batch *shape"],
        level: Float[Array, "batch"] | None = None,
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch *shape"]:
        """The f of the class; dropout is on where it is given a key.

        Raises:
          ValueError: if a told denoiser is not given the level, or a blind one is.
        """
        if (level is not None) != self.told:
            given = "none" if level is None else "one"
            raise ValueError(f"`level` must be given exactly if told={self.told}: got {given}.")
        if level is None:
            square = (y**2).reshape(len(y), -1).mean(axis=1)
            size = expand_like(jnp.sqrt(self.data_deviation**2 + square), y)
            x, scale, t = y / size, size, jnp.zeros(len(y))
        else:
            x, scale, t = y, expand_like(level, y), self._sde.time_of(level)
        return y - scale * self._model.predict(params, x, t, dropout_key=dropout_key)

    def denoiser(self, params: PyTree) -> "NetworkDenoiser":
        """The denoiser of these parameters, for `DenoiserScore` or `BlindDenoiserScore`."""
        return NetworkDenoiser(params, self)

    @property
    def _sde(self) -> VE:
        return VE(sigma_min=self.level_min, sigma_max=self.level_max)

    @property
    def _model(self) -> ScoreModel:
        """It scales the input by the level, if that is told."""
        return ScoreModel(
            network=self.network,
            sde=self._sde,
            time_condition=self.time_condition,
            data_deviation=self.data_deviation if self.told else None,
        )


@pytree
@dataclass(frozen=True)
class NetworkDenoiser:
    """The denoiser that a trained network stands for; a pytree of its parameters."""

    params: PyTree
    regression: DenoiserRegression = field(metadata={"static": True})

    def __call__(
        self, y: Float[Array, "batch *shape"], level: Float[Array, "batch"] | None = None
    ) -> Float[Array, "batch *shape"]:
        """``E[x_0 | y]`` for ``y = x_0 + level noise``; the level only if it is told."""
        return self.regression.denoise(self.params, y, level)
