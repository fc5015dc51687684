"""Tweedie's formula, in both directions."""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax.numpy as jnp

from sde_jax.arrays import Array, Float, expand_like, pytree
from sde_jax.score.protocol import Score
from sde_jax.sde.base import LinearSDE, Time


def denoised(
    score: Score, sde: LinearSDE, x: Float[Array, "batch *shape"], t: Time
) -> Float[Array, "batch *shape"]:
    """The posterior mean ``E[x_0 | x_t] = (x + sigma^2 score) / alpha``, by Tweedie's formula."""
    variance = expand_like(sde.sigma(t) ** 2, x)
    return (x + variance * score(x, t)) / expand_like(sde.alpha(t), x)


def score_of_denoised(
    sde: LinearSDE, x0: Float[Array, "batch *shape"], x: Float[Array, "batch *shape"], t: Time
) -> Float[Array, "batch *shape"]:
    """The score ``(alpha x0 - x) / sigma^2`` at ``x`` whose posterior mean is ``x0``."""
    alpha, sigma = expand_like(sde.alpha(t), x), expand_like(sde.sigma(t), x)
    return (alpha * x0 - x) / sigma**2


@pytree
@dataclass(frozen=True)
class DenoiserScore:
    """The score of any denoiser ``(x, t) -> E[x_0 | x_t]`` under an SDE.

    ``denoiser`` may be a pytree with arrays of its own or, through `jax.tree_util.Partial`, any
    function.
    """

    denoiser: Callable[[Array, Time], Array]
    sde: LinearSDE = field(metadata={"static": True})

    def __call__(self, x: Float[Array, "batch *shape"], t: Time) -> Float[Array, "batch *shape"]:
        """The score at ``(x, t)``."""
        return score_of_denoised(self.sde, self.denoiser(x, t), x, t)


@pytree
@dataclass(frozen=True)
class ToldDenoiserScore:
    """The score of a denoiser that was trained for denoising alone and is told the noise level.

    ``denoise(y, level)`` is ``E[x_0 | y]`` for ``y = x_0 + level noise``, one level for each
    example. It never heard of an SDE, but every one noises data so, up to a scale:
    ``E[x_0 | x_t = x] = denoise(y, level)`` with ``y = x / alpha, level = sigma / alpha``, and the
    score is ``(denoise(y, level) - y) / (alpha level^2)``. The residual alone is no score: without
    ``1 / level^2`` it vanishes with the noise. ``denoise`` is a pytree or any function, as that of
    `DenoiserScore`.
    """

    denoise: Callable[[Array, Float[Array, "batch"]], Array]
    sde: LinearSDE = field(metadata={"static": True})

    def __call__(self, x: Float[Array, "batch *shape"], t: Time) -> Float[Array, "batch *shape"]:
        """The score at ``(x, t)``."""
        level = jnp.broadcast_to(self.sde.noise_to_signal(t), x.shape[:1])
        x0 = self.denoise(x / expand_like(self.sde.alpha(t), x), level)
        return score_of_denoised(self.sde, x0, x, t)


@pytree
@dataclass(frozen=True)
class BlindDenoiserScore:
    """The score of a denoiser ``denoise(y)`` of ``y = x_0 + level noise`` at any, untold level.

    As `ToldDenoiserScore`, but the level stays with the SDE: the score is right so far as ``y``
    itself shows its level, as in many dimensions it does.
    """

    denoise: Callable[[Array], Array]
    sde: LinearSDE = field(metadata={"static": True})

    def __call__(self, x: Float[Array, "batch *shape"], t: Time) -> Float[Array, "batch *shape"]:
        """The score at ``(x, t)``."""
        x0 = self.denoise(x / expand_like(self.sde.alpha(t), x))
        return score_of_denoised(self.sde, x0, x, t)
