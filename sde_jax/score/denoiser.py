"""Conversion between scores and denoisers by Tweedie's formula."""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, PerExample, expand_like, pytree
from sde_jax.score.protocol import Score
from sde_jax.sde.base import LinearSDE, Time


def denoised(score: Score, sde: LinearSDE, x: Examples, t: Time) -> Examples:
    """Returns the posterior mean ``E[x_0 | x_t] = (x + sigma^2 score) / alpha``, by Tweedie."""
    variance = expand_like(sde.sigma(t) ** 2, x)
    return (x + variance * score(x, t)) / expand_like(sde.alpha(t), x)


def score_of_denoised(sde: LinearSDE, x0: Examples, x: Examples, t: Time) -> Examples:
    """Returns the score ``(alpha x0 - x) / sigma^2`` at ``x`` for the posterior mean ``x0``."""
    alpha, sigma = expand_like(sde.alpha(t), x), expand_like(sde.sigma(t), x)
    return (alpha * x0 - x) / sigma**2


@pytree
@dataclass(frozen=True)
class DenoiserScore:
    """The score of a noise-conditional denoiser, under any SDE.

    ``denoise(y, level)`` estimates ``E[x_0 | y]`` for ``y = x_0 + level noise``, with one level per
    example. The denoiser needs no SDE: ``E[x_0 | x_t = x] = denoise(y, level)`` with
    ``y = x / alpha`` and ``level = sigma / alpha``. The score is
    ``(denoise(y, level) - y) / (alpha level^2)``. The factor ``1 / level^2`` matters: the residual
    alone vanishes with the noise. ``denoise`` may be a pytree with arrays of its own or, through
    `jax.tree_util.Partial`, any function.
    """

    denoise: Callable[[Array, PerExample], Array]
    sde: LinearSDE = field(metadata={"static": True})

    def __call__(self, x: Examples, t: Time) -> Examples:
        level = jnp.broadcast_to(self.sde.noise_to_signal(t), x.shape[:1])
        x0 = self.denoise(x / expand_like(self.sde.alpha(t), x), level)
        return score_of_denoised(self.sde, x0, x, t)


@pytree
@dataclass(frozen=True)
class BlindDenoiserScore:
    """The score of a blind denoiser ``denoise(y)`` of ``y = x_0 + level noise``, for any level.

    Like `DenoiserScore`, but the denoiser does not take the level. The score is accurate as far as
    ``y`` determines its level, which in many dimensions it nearly does.
    """

    denoise: Callable[[Array], Array]
    sde: LinearSDE = field(metadata={"static": True})

    def __call__(self, x: Examples, t: Time) -> Examples:
        x0 = self.denoise(x / expand_like(self.sde.alpha(t), x))
        return score_of_denoised(self.sde, x0, x, t)
