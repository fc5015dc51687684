"""What can be done with the latents of the probability flow, its states at t = 1."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Bool, Float, Int, Key, expand_like
from sde_jax.sampling.probability_flow import ProbabilityFlow
from sde_jax.sampling.protocol import Samples, draw_prior
from sde_jax.score import Score
from sde_jax.sde import LinearSDE

# Below this sine of the angle between two vectors their great circle is lost in rounding.
_PARALLEL = 1e-6


class Interpolation(NamedTuple):
    """Images between pairs of others, and what they cost."""

    images: Float[Array, "weights batch *shape"]
    nfe: Int[Array, "batch"]
    """Evaluations of the score made for each pair, in all solves."""
    converged: Bool[Array, "weights batch"]
    """False where a solve gave up; such an image is none."""


class Reconstruction(NamedTuple):
    """How far examples are from what the flow makes of their own latents."""

    error: Float[Array, "batch"]
    """Root mean square over the dimensions of each, in model coordinates."""
    nfe: Int[Array, "batch"]
    """Evaluations of the score made for each, there and back."""
    converged: Bool[Array, "batch"]
    """False where a solve gave up; such an error is none."""


def spherical(
    first: Float[Array, "batch *shape"],
    second: Float[Array, "batch *shape"],
    weight: Float[Array, "*batch"] | float,
) -> Float[Array, "batch *shape"]:
    """From ``first``, at weight 0, along the great circle to ``second``, at 1 (Shoemake 1985).

    For each example, flattened, with u and v of unit length and w between them::

        (|first| (1 - weight) + |second| weight) (sin((1 - weight) w) u + sin(weight w) v) / sin(w)

    Gaussian noise of many dimensions stays near its sphere so, as it does not on a straight line.
    Vectors that are parallel, opposite, or 0 have no such circle: between them the line is
    straight.

    Args:
      first: what weight 0 gives, exactly.
      second: what weight 1 gives, exactly.
      weight: one number, or one for each example.
    """
    weight = jnp.asarray(weight, first.dtype)
    a, b = (x.reshape(len(x), -1) for x in (first, second))
    share = expand_like(jnp.broadcast_to(weight, (len(a),)), a)
    norm_a, norm_b = (jnp.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    nonzero = (norm_a > 0) & (norm_b > 0)
    norm_a, norm_b = (jnp.where(nonzero, norm, 1.0) for norm in (norm_a, norm_b))
    u, v = a / norm_a, b / norm_b
    # exact at every angle (Kahan 2006), where the arc cosine of u.v is not
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
    first: Float[Array, "batch *shape"],
    second: Float[Array, "batch *shape"],
    weights: Float[Array, "weights"],
) -> Interpolation:
    """Images between ``first`` and ``second``, `spherical` between their latents.

    Both are encoded and all decoded, not denoised (Song et al. 2021, arXiv:2011.13456, sec. 4.3):
    weights 0 and 1 give the images themselves but for the error of the solves.
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
    keys: Key[Array, "batch"],
    shape: tuple[int, ...],
    temperature: Float[Array, ""] | float,
) -> Samples:
    """Samples of latents ``temperature`` times as large (Song et al. 2021, sec. 4.3).

    1 gives the samples of ``flow`` itself, 0 for all keys what the latents' mode, 0, becomes;
    between, the samples vary less. It is no temperature of the data's density.
    """
    key_prior, _ = jax.vmap(jax.random.split, out_axes=1)(keys)
    return flow.carry(score, sde, temperature * draw_prior(key_prior, sde, shape))


def reconstruction_error(
    flow: ProbabilityFlow, score: Score, sde: LinearSDE, x: Float[Array, "batch *shape"]
) -> Reconstruction:
    """How far ``decode(encode(x))`` is from ``x``: what the tolerance of the solves leaves."""
    there = flow.encode(score, sde, x)
    back = flow.decode(score, sde, there.y)
    squares = ((back.y - x) ** 2).reshape(len(x), -1)
    return Reconstruction(
        error=jnp.sqrt(squares.mean(axis=1)),
        nfe=there.nfe + back.nfe,
        converged=there.converged & back.converged,
    )
