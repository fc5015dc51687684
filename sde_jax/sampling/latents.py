"""Operations on the latents of the probability flow, its states at t = 1."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from sde_jax.arrays import (
    Array,
    Bool,
    Examples,
    Float,
    Int,
    Keys,
    PerExample,
    expand_like,
    precision_of,
)
from sde_jax.randomness import draw_prior, split_keys
from sde_jax.sampling.probability_flow import ProbabilityFlow
from sde_jax.sampling.protocol import Samples
from sde_jax.score import Score
from sde_jax.sde import LinearSDE

# Below this sine of the angle between two vectors, rounding dominates their great circle.
_PARALLEL = 1e-6


class Interpolation(NamedTuple):
    """Interpolations between pairs of images, and their cost."""

    images: Float[Array, "weights batch *shape"]
    nfe: Int[Array, "batch"]
    """Number of score evaluations per pair, over all solves."""
    converged: Bool[Array, "weights batch"]
    """False where a solve failed; such an image is invalid."""


class Reconstruction(NamedTuple):
    """Error of encoding and decoding examples."""

    error: PerExample
    """Root mean square error over the dimensions of each example, in model coordinates."""
    nfe: Int[Array, "batch"]
    """Number of score evaluations per example, of both solves."""
    converged: Bool[Array, "batch"]
    """False where a solve failed; such an error is invalid."""


def spherical(
    first: Examples, second: Examples, weight: Float[Array, "*batch"] | float
) -> Examples:
    """Interpolates between ``first``, at weight 0, and ``second``, at 1, on a great circle.

    Shoemake 1985. For each example, flattened, with unit vectors u and v and the angle w between
    them::

        (|first| (1 - weight) + |second| weight) (sin((1 - weight) w) u + sin(weight w) v) / sin(w)

    High-dimensional Gaussian noise then keeps its typical norm, unlike on a straight line. Vectors
    that are parallel, opposite or zero are interpolated linearly.

    Args:
      first: the result at weight 0, exactly.
      second: the result at weight 1, exactly.
      weight: a scalar, or one number per example.
    """
    weight = jnp.asarray(weight, first.dtype)
    a, b = (x.reshape(len(x), -1) for x in (first, second))
    share = expand_like(jnp.broadcast_to(weight, (len(a),)), a)
    norm_a, norm_b = (jnp.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    nonzero = (norm_a > 0) & (norm_b > 0)
    norm_a, norm_b = (jnp.where(nonzero, norm, 1.0) for norm in (norm_a, norm_b))
    u, v = a / norm_a, b / norm_b
    # accurate at every angle (Kahan 2006), unlike the arc cosine of u.v
    angle = 2 * jnp.arctan2(
        jnp.linalg.norm(u - v, axis=1, keepdims=True), jnp.linalg.norm(u + v, axis=1, keepdims=True)
    )
    sine = jnp.sin(angle)
    curved = nonzero & (sine > _PARALLEL)
    sine = jnp.where(curved, sine, 1.0)
    norm = (1 - share) * norm_a + share * norm_b
    on_circle = norm / norm_a * (jnp.sin((1 - share) * angle) / sine) * a
    on_circle = on_circle + norm / norm_b * (jnp.sin(share * angle) / sine) * b
    between = jnp.where(curved, on_circle, (1 - share) * a + share * b)
    return between.reshape(first.shape)


def interpolate(
    flow: ProbabilityFlow,
    score: Score,
    sde: LinearSDE,
    first: Examples,
    second: Examples,
    weights: Float[Array, "weights"],
) -> Interpolation:
    """Interpolates between images by `spherical` interpolation of their latents.

    Images are encoded and decoded without denoising (Song et al. 2021, arXiv:2011.13456, sec. 4.3).
    Weights 0 and 1 give the images themselves up to the error of the solves.
    """
    ends = [flow.encode(score, sde, x) for x in (first, second)]
    paths = jax.vmap(
        lambda weight: flow.decode(score, sde, spherical(ends[0].y, ends[1].y, weight))
    )(weights)
    return Interpolation(
        images=paths.y,
        nfe=ends[0].nfe + ends[1].nfe + paths.nfe.sum(axis=0),
        converged=paths.converged & (ends[0].converged & ends[1].converged)[None],
    )


def tempered(
    flow: ProbabilityFlow,
    score: Score,
    sde: LinearSDE,
    keys: Keys,
    shape: tuple[int, ...],
    temperature: Float[Array, ""] | float,
) -> Samples:
    """Decodes latents scaled by ``temperature`` (Song et al. 2021, sec. 4.3).

    1 gives the samples of ``flow`` itself; 0 decodes the mode of the latents, 0, for all keys;
    values between reduce diversity. It is not a temperature of the data density.
    """
    key_prior, _ = split_keys(keys)
    prior = draw_prior(key_prior, sde, shape, precision_of(score))
    return flow.carry(score, sde, (temperature * prior).astype(prior.dtype))


def reconstruction_error(
    flow: ProbabilityFlow, score: Score, sde: LinearSDE, x: Examples
) -> Reconstruction:
    """Returns the distance of ``decode(encode(x))`` from ``x``, an error of the solves."""
    there = flow.encode(score, sde, x)
    back = flow.decode(score, sde, there.y)
    squares = ((back.y - x) ** 2).reshape(len(x), -1)
    return Reconstruction(
        error=jnp.sqrt(squares.mean(axis=1)),
        nfe=there.nfe + back.nfe,
        converged=there.converged & back.converged,
    )
