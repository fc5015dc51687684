"""Denoising score matching."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PRNGKeyArray, PyTree
from sde_jax.objectives.time_sampling import SampledTimes, StratifiedTimes, TimeSampler
from sde_jax.objectives.weighting import NoiseWeighting, Weighting
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.score import ClassifierModel, ScoreModel
from sde_jax.sde.base import Time


class Drawn(NamedTuple):
    """The times and noise of a batch, and the key of its dropout, None where that is off."""

    times: SampledTimes
    noise: Float[Array, "batch *shape"]
    dropout_key: PRNGKeyArray | None


def draw(
    model: ScoreModel | ClassifierModel,
    times: TimeSampler,
    seeds: Seeds,
    x0: Float[Array, "batch *shape"],
    *,
    deterministic: bool,
) -> Drawn:
    """Draws the time and noise of each example from its seed; ``deterministic`` without dropout."""
    seeds_time, seeds_noise, seeds_dropout = seeds.split(3)
    noise = unit_noise(seeds_noise.keys, x0.shape[1:], x0.dtype)
    dropout_key = seeds_dropout.dropout_key(deterministic=deterministic)
    return Drawn(times(seeds_time, model.sde), noise, dropout_key)


@dataclass(frozen=True, kw_only=True)
class DenoisingScoreMatching:
    """The loss ``E[w(t) |sigma(t) score(x_t, t) + noise|^2]``.

    Song et al. 2021 (arXiv:2011.13456), eq. 7, with ``x_t = alpha x_0 + sigma noise`` and t uniform
    on [t_min, 1], importance sampled, or drawn as part of the loss; alpha and sigma are those of
    the model. For the likelihood weighting, the integral of the half sum over time bounds the
    negative log likelihood up to a constant. The error is taken between the network's output and
    its target, scaled by what ``to_score`` makes of a unit of output, so that nothing cancels at
    small t.

    Raises:
      ValueError: unless ``reduction`` is "mean" or "half_sum".
    """

    model: ScoreModel
    times: TimeSampler = StratifiedTimes()
    weighting: Weighting = NoiseWeighting()
    reduction: Literal["mean", "half_sum"] = "mean"
    """What is taken of the squares of an example: their mean over its D dimensions, or half of
    their sum, D / 2 times as much. Adam follows either, clipping does not."""

    def __post_init__(self) -> None:
        if self.reduction not in ("mean", "half_sum"):
            raise ValueError(
                f'`reduction` must be "mean" or "half_sum": got reduction={self.reduction!r}.'
            )

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x0: Float[Array, "batch *shape"],
        condition: PyTree | None = None,
        *,
        deterministic: bool = False,
    ) -> Float[Array, "batch"]:
        """Returns the loss of each example at a time and noise of its own.

        Args:
          params: the network's parameters.
          seeds: fix times, noise and dropout.
          x0: examples, in model coordinates.
          condition: what the network is told besides, or None.
          deterministic: turns dropout off.
        """
        times, noise, dropout_key = draw(
            self.model, self.times, seeds, x0, deterministic=deterministic
        )
        errors = self.losses_at(params, x0, times.t, noise, condition, dropout_key=dropout_key)
        return times.importance * errors

    def losses_at(
        self,
        params: PyTree,
        x0: Float[Array, "batch *shape"],
        t: Time,
        noise: Float[Array, "batch *shape"],
        condition: PyTree | None = None,
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch"]:
        """Each example's weighted loss at the given times and noise."""
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
