"""Denoising score matching."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, PerExample, PRNGKeyArray, PyTree, as_examples
from sde_jax.objectives.time_sampling import SampledTimes, StratifiedTimes, TimeSampler
from sde_jax.objectives.weighting import NoiseWeighting, Weighting
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.score import ClassifierModel, ScoreModel
from sde_jax.sde.base import Time


class NoiseDraw(NamedTuple):
    """Random times, noise and dropout key of a batch; without a key, dropout is off."""

    times: SampledTimes
    noise: Examples
    dropout_key: PRNGKeyArray | None


def draw_noise(
    model: ScoreModel | ClassifierModel,
    times: TimeSampler,
    seeds: Seeds,
    x0: Examples,
    *,
    deterministic: bool,
) -> NoiseDraw:
    """Draws the time and noise of each example from its seed; ``deterministic``: no dropout."""
    seeds_time, seeds_noise, seeds_dropout = seeds.split(3)
    x0 = as_examples("x0", x0)
    noise = unit_noise(seeds_noise.keys, x0.shape[1:], x0.dtype)
    dropout_key = seeds_dropout.dropout_key(deterministic=deterministic)
    return NoiseDraw(times(seeds_time, model.sde), noise, dropout_key)


@dataclass(frozen=True, kw_only=True)
class ScoreMatching:
    """Base of the losses of a score at a random time and noise of each example."""

    model: ScoreModel
    times: TimeSampler = StratifiedTimes()
    weighting: Weighting = NoiseWeighting()
    """Weight of ``|sigma score + noise|^2``."""
    losses_at: ClassVar[Callable[..., PerExample]]

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x0: Examples,
        condition: PyTree | None = None,
        *,
        deterministic: bool = False,
    ) -> PerExample:
        """Returns the loss of each example at its own random time and noise.

        Args:
          params: the network's parameters.
          seeds: determine times, noise, directions and dropout.
          x0: examples, in model coordinates.
          condition: the network's condition, or None.
          deterministic: turns dropout off.
        """
        seeds, directions = self._split(seeds, x0)
        times, noise, dropout_key = draw_noise(
            self.model, self.times, seeds, x0, deterministic=deterministic
        )
        at = (x0, times.t, noise, *directions, condition)
        return times.importance * self.losses_at(params, *at, dropout_key=dropout_key)

    def _split(self, seeds: Seeds, x0: Examples) -> tuple[Seeds, tuple[Array, ...]]:
        """Returns the seeds of times, noise and dropout, and further arguments of `losses_at`."""
        return seeds, ()


@dataclass(frozen=True, kw_only=True)
class DenoisingScoreMatching(ScoreMatching):
    """The loss ``E[w(t) |sigma(t) score(x_t, t) + noise|^2]``.

    Song et al. 2021 (arXiv:2011.13456), eq. 7, with ``x_t = alpha x_0 + sigma noise``. The time t
    follows ``times``; alpha and sigma are those of the model. With the likelihood weighting, the
    time integral of the half sum bounds the negative log likelihood up to a constant. The loss
    compares the network's output with its target and scales the difference by the score of a unit
    output. This avoids cancellation at small t.

    Raises:
      ValueError: unless ``reduction`` is "mean" or "half_sum".
    """

    reduction: Literal["mean", "half_sum"] = "mean"
    """Reduction of an example's squared errors: their mean over D dimensions or half their sum,
    which is D / 2 times the mean. Adam is invariant to this factor, gradient clipping is not."""

    def __post_init__(self) -> None:
        if self.reduction not in ("mean", "half_sum"):
            raise ValueError(
                f'`reduction` must be "mean" or "half_sum": got reduction={self.reduction!r}.'
            )

    def losses_at(
        self,
        params: PyTree,
        x0: Examples,
        t: Time,
        noise: Examples,
        condition: PyTree | None = None,
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> PerExample:
        """Returns the weighted loss of each example at the given times and noise."""
        parameterization = self.model.parameterization
        alpha, sigma = self.model.coefficients(t, x0)
        x = alpha * x0 + sigma * noise
        output = self.model.predict(params, x, t, condition, dropout_key=dropout_key)
        error = output - parameterization.target(x0, noise, alpha, sigma)
        one, zero = jnp.ones_like(alpha), jnp.zeros_like(alpha)
        score_per_output = parameterization.to_score(one, zero, alpha, sigma)
        squares = ((sigma * score_per_output * error) ** 2).reshape(x0.shape[0], -1)
        mean = self.reduction == "mean"
        reduced = squares.mean(axis=1) if mean else 0.5 * squares.sum(axis=1)
        return self.weighting(self.model.sde, t) * reduced
