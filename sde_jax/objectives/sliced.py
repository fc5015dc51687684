"""Score matching by the Jacobian of the score: implicit, of its trace, and sliced, of its slices.

At ``x_t = alpha x_0 + sigma noise``, in D dimensions and with J the Jacobian of the score,
integration by parts over the noise gives (Hyvarinen 2005; Vincent 2011)

::

    E |sigma score + noise|^2 = 2 sigma^2 E[|score|^2 / 2 + tr J] + D

so that, at each time, a loss ``weight * 2 sigma^2 (|score|^2 / 2 + tr J) / D`` has the expectation
of `DenoisingScoreMatching` of the same weighting, less the weight itself, and the same expected
gradient. It is told no noise.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Key, PRNGKeyArray, PyTree, expand_like, sum_except_batch
from sde_jax.objectives.denoising import draw
from sde_jax.objectives.time_sampling import StratifiedTimes, TimeSampler
from sde_jax.objectives.weighting import NoiseWeighting, Weighting
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.score import ScoreModel
from sde_jax.sde.base import Time

__all__ = ["ImplicitScoreMatching", "Projection", "SlicedScoreMatching"]

Projection = Literal["rademacher", "gaussian", "sphere"]
"""Distributions of probes: signs, unit normals, and uniform on the sphere of radius sqrt(D)."""


@dataclass(frozen=True, kw_only=True)
class ImplicitScoreMatching:
    """The loss ``E[w(t) 2 sigma^2 (|score|^2 / 2 + tr J) / D]``, J the Jacobian of the score.

    Hyvarinen 2005, at every noise level; alpha and sigma are those of the model. The trace is
    exact, by one Jacobian-vector product for each of the D dimensions, all of them at once: for few
    dimensions.
    """

    model: ScoreModel
    times: TimeSampler = StratifiedTimes()
    weighting: Weighting = NoiseWeighting()
    """The factor of ``|sigma score + noise|^2``, as in `DenoisingScoreMatching`."""

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

        See `DenoisingScoreMatching.losses` for the arguments.
        """
        times, noise, dropout_key = draw(
            self.model, self.times, seeds, x0, deterministic=deterministic
        )
        losses = self.losses_at(params, x0, times.t, noise, condition, dropout_key=dropout_key)
        return times.importance * losses

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
        dimensions = math.prod(x0.shape[1:])
        axes = jnp.eye(dimensions, dtype=x0.dtype).reshape(1, dimensions, *x0.shape[1:])
        axes = jnp.broadcast_to(axes, (x0.shape[0], *axes.shape[1:]))
        scores, slopes = _scores_and_slopes(
            self.model, params, x0, t, noise, axes, condition, dropout_key
        )
        losses = sum_except_batch(scores**2) + 2 * slopes.sum(axis=1)
        return self.weighting(self.model.sde, t) * losses / dimensions


@dataclass(frozen=True, kw_only=True)
class SlicedScoreMatching:
    """The loss ``E[w(t) 2 sigma^2 ((v.score)^2 / 2 + v.J v) / D]`` of random directions v.

    Song et al. 2019 (arXiv:1905.07088, SSM) at every noise level; J is the Jacobian of the score,
    alpha and sigma are those of the model. With ``variance_reduced``, ``|score|^2`` is in the place
    of ``(v.score)^2`` (their SSM-VR). As ``E[v v^T]`` is the identity, either is an unbiased
    estimate of the loss of `ImplicitScoreMatching`, and so is its gradient. A slice costs one
    forward-mode derivative of the network; all slices share the network's own values.

    Raises:
      ValueError: unless ``slices`` is at least 1 and ``projection`` one of those listed.
    """

    model: ScoreModel
    times: TimeSampler = StratifiedTimes()
    weighting: Weighting = NoiseWeighting()
    """The factor of ``|sigma score + noise|^2``, as in `DenoisingScoreMatching`."""
    slices: int = 1
    """Directions for each example, over which its loss is averaged."""
    projection: Projection = "rademacher"
    """What a direction is: random signs, unit Gaussian, or uniform on the sphere of radius
    ``sqrt(D)``. In one dimension the first and the last are exact."""
    variance_reduced: bool = True
    """Whether the square of the score is taken as a whole rather than along the direction."""

    def __post_init__(self) -> None:
        if self.slices < 1:
            raise ValueError(f"`slices` must be at least 1: got slices={self.slices}.")
        if self.projection not in get_args(Projection):
            names = ", ".join(get_args(Projection))
            raise ValueError(
                f"`projection` must be one of {names}: got projection={self.projection!r}."
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
        """Returns the loss of each example at a time, noise and directions of its own.

        See `DenoisingScoreMatching.losses` for the arguments.
        """
        seeds_noise, seeds_directions = seeds.split()
        times, noise, dropout_key = draw(
            self.model, self.times, seeds_noise, x0, deterministic=deterministic
        )
        directions = self.directions(seeds_directions.keys, x0)
        losses = self.losses_at(
            params, x0, times.t, noise, directions, condition, dropout_key=dropout_key
        )
        return times.importance * losses

    def directions(
        self, keys: Key[Array, "batch"], x0: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch slices *shape"]:
        """Draws the directions of each example, of covariance 1."""
        shape = (self.slices, *x0.shape[1:])
        if self.projection == "rademacher":
            return jax.vmap(lambda key: jax.random.rademacher(key, shape, x0.dtype))(keys)
        gaussian = unit_noise(keys, shape, x0.dtype)
        if self.projection == "gaussian":
            return gaussian
        mean_squares = (gaussian.reshape(*gaussian.shape[:2], -1) ** 2).mean(axis=2)
        return gaussian * expand_like(jax.lax.rsqrt(mean_squares), gaussian)

    def losses_at(
        self,
        params: PyTree,
        x0: Float[Array, "batch *shape"],
        t: Time,
        noise: Float[Array, "batch *shape"],
        directions: Float[Array, "batch slices *shape"],
        condition: PyTree | None = None,
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch"]:
        """Each example's weighted loss at the given times, noise and directions."""
        scores, slopes = _scores_and_slopes(
            self.model, params, x0, t, noise, directions, condition, dropout_key
        )
        if self.variance_reduced:
            squares = sum_except_batch(scores**2)
        else:
            along = jax.vmap(lambda v: sum_except_batch(v * scores), 1, 1)(directions)
            squares = (along**2).mean(axis=1)
        losses = squares + 2 * slopes.mean(axis=1)
        return self.weighting(self.model.sde, t) * losses / math.prod(x0.shape[1:])


def _scores_and_slopes(
    model: ScoreModel,
    params: PyTree,
    x0: Float[Array, "batch *shape"],
    t: Time,
    noise: Float[Array, "batch *shape"],
    directions: Float[Array, "batch slices *shape"],
    condition: PyTree | None,
    dropout_key: PRNGKeyArray | None,
) -> tuple[Float[Array, "batch *shape"], Float[Array, "batch slices"]]:
    """``sigma score`` and, for each direction, ``sigma^2 v.J v``, by one forward-mode pass.

    Mapped over directions, the pass computes the network's own values once.
    """
    alpha, sigma = model.coefficients(t, x0)
    x = alpha * x0 + sigma * noise

    def scaled_score(x: Array) -> Array:
        output = model.predict(params, x, t, condition, dropout_key=dropout_key)
        return sigma * model.parameterization.to_score(output, x, alpha, sigma)

    def push_forward(direction: Array) -> tuple[Array, Array]:
        scores, products = jax.jvp(scaled_score, (x,), (sigma * direction,))
        return scores, sum_except_batch(direction * products)

    return jax.vmap(push_forward, in_axes=1, out_axes=(None, 1))(directions)
