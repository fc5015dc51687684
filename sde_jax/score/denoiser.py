"""Tweedie's formula, in both directions."""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax

from sde_jax.arrays import Array, Float, expand_like
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


@jax.tree_util.register_dataclass
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
