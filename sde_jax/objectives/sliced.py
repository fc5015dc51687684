"""Score matching by the Jacobian of the score: implicit (exact trace) and sliced (random slices).

At ``x_t = alpha x_0 + sigma noise``, in D dimensions and with J the Jacobian of the score,
integration by parts over the noise gives (Hyvarinen 2005; Vincent 2011)

::

    E |sigma score + noise|^2 = 2 sigma^2 E[|score|^2 / 2 + tr J] + D

At each time, the expectation of ``weight * 2 sigma^2 (|score|^2 / 2 + tr J) / D`` is therefore that
of `DenoisingScoreMatching` with the same weighting, minus the weight. The expected gradients are
equal. The loss does not use the value of the noise.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from sde_jax.arrays import (
    Array,
    Examples,
    Float,
    Keys,
    PerExample,
    PRNGKeyArray,
    PyTree,
    expand_like,
    sum_except_batch,
)
from sde_jax.objectives.denoising import ScoreMatching
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.sde.base import Time
from sde_jax.validation import Spec, at_least, at_most

Projection = Literal["rademacher", "gaussian", "sphere"]
"""Distributions of probes: signs, unit normals, and uniform on the sphere of radius sqrt(D)."""
Directions = Float[Array, "batch slices *shape"]


@dataclass(frozen=True, kw_only=True)
class SlicedScoreMatching(ScoreMatching, Spec):
    """The loss ``E[w(t) 2 sigma^2 ((v.score)^2 / 2 + v.J v) / D]`` of random directions v.

    Song et al. 2019 (arXiv:1905.07088, SSM) at every noise level. J is the Jacobian of the score;
    alpha and sigma are those of the model. With ``variance_reduced``, ``|score|^2`` replaces
    ``(v.score)^2`` (their SSM-VR). As ``E[v v^T]`` is the identity, both are unbiased estimates of
    the loss of `ImplicitScoreMatching`, and so are their gradients. A slice costs one forward-mode
    derivative of the network; all slices share one evaluation of the network.
    """

    slices: Annotated[int, at_least(1), at_most(10**4)] = 1
    """Number of directions for each example; its loss is their mean."""
    projection: Projection = "rademacher"
    """Distribution of directions: random signs, standard Gaussian, or uniform on the sphere of
    radius ``sqrt(D)``. In one dimension the first and the last are exact."""
    variance_reduced: bool = True
    """Whether the loss takes the full square of the score instead of its square along v."""

    def _split(self, seeds: Seeds, x0: Examples) -> tuple[Seeds, tuple[Array, ...]]:
        seeds_noise, seeds_directions = seeds.split()
        return seeds_noise, (self.directions(seeds_directions.keys, x0),)

    def directions(self, keys: Keys, x0: Examples) -> Directions:
        """Draws the directions of each example; their covariance is the identity."""
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
        x0: Examples,
        t: Time,
        noise: Examples,
        directions: Directions,
        condition: PyTree | None = None,
        *,
        dropout_key: PRNGKeyArray | None = None,
    ) -> PerExample:
        """Returns the weighted loss of each example at the given times, noise and directions.

        The forward-mode pass is mapped over directions and evaluates the network once.
        """
        alpha, sigma = self.model.coefficients(t, x0)
        x = alpha * x0 + sigma * noise

        def scaled_score(x: Array) -> Array:
            output = self.model.predict(params, x, t, condition, dropout_key=dropout_key)
            return sigma * self.model.parameterization.to_score(output, x, alpha, sigma)

        def score_and_curvature(direction: Array) -> tuple[Array, Array]:
            """Returns ``sigma score`` and ``sigma^2 v.J v``."""
            score, product = jax.jvp(scaled_score, (x,), (sigma * direction,))
            return score, sum_except_batch(direction * product)

        over_directions = jax.vmap(score_and_curvature, in_axes=1, out_axes=(None, 1))
        score, curvatures = over_directions(directions)
        if self.variance_reduced:
            squares = sum_except_batch(score**2)
        else:
            along = jax.vmap(lambda v: sum_except_batch(v * score), 1, 1)(directions)
            squares = (along**2).mean(axis=1)
        losses = squares + 2 * curvatures.mean(axis=1)
        return self.weighting(self.model.sde, t) * losses / math.prod(x0.shape[1:])


@dataclass(frozen=True, kw_only=True)
class ImplicitScoreMatching(ScoreMatching):
    """The loss ``E[w(t) 2 sigma^2 (|score|^2 / 2 + tr J) / D]``, J the Jacobian of the score.

    Hyvarinen 2005, at every noise level; alpha and sigma are those of the model. The trace is exact
    and takes one Jacobian-vector product for each of the D dimensions, all at once. Use it in few
    dimensions.
    """

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
        """Returns the weighted loss of each example at the given times and noise.

        The slices are the D axes, each of length ``sqrt(D)``; their mean is the trace.
        """
        size, shape = math.prod(x0.shape[1:]), x0.shape[1:]
        axes = math.sqrt(size) * jnp.eye(size, dtype=x0.dtype).reshape(1, size, *shape)
        directions = jnp.broadcast_to(axes, (len(x0), size, *shape))
        sliced = SlicedScoreMatching(model=self.model, weighting=self.weighting)
        return sliced.losses_at(
            params, x0, t, noise, directions, condition, dropout_key=dropout_key
        )
