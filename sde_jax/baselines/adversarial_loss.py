"""What a generator and a discriminator minimize."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Key, expand_like

__all__ = ["AdversarialLoss"]

Examples = Float[Array, "batch *shape"]
PerExample = Float[Array, "batch"]


@dataclass(frozen=True, kw_only=True)
class AdversarialLoss:
    """What discriminator and generator minimize, of scores ``d``.

    ::

        loss              of real x       of generated y   of the generator
        "saturating"      softplus(-d)    softplus(d)      -softplus(d)
        "non_saturating"  softplus(-d)    softplus(d)      softplus(-d)
        "wasserstein"     -d              d                -d

    The first two are Goodfellow et al. 2014 (arXiv:1406.2661), eq. 1 and section 3, with
    ``D = sigmoid(d)``; to them ``r1 / 2 |grad d(x)|^2`` is added for each real x (Mescheder et al.
    2018, arXiv:1801.04406, eq. 9). To the third, ``penalty (|grad d(z)| - 1)^2`` is added with one
    ``z = u x + (1 - u) y``, u uniform on [0, 1), for each pair (Gulrajani et al. 2017,
    arXiv:1704.00028, eq. 3).

    Raises:
      ValueError: if a field is out of range, or ``r1`` is set for the Wasserstein loss.
    """

    loss: Literal["saturating", "non_saturating", "wasserstein"] = "non_saturating"
    penalty: float = 10.0
    """Weight of the gradient penalty of the Wasserstein loss; the others have none."""
    r1: float = 0.0
    """Weight of the R1 penalty of the others."""

    def __post_init__(self) -> None:
        if self.loss not in ("saturating", "non_saturating", "wasserstein"):
            raise ValueError(
                '`loss` must be "saturating", "non_saturating" or "wasserstein": got '
                f"loss={self.loss!r}."
            )
        for field in ("penalty", "r1"):
            if not getattr(self, field) >= 0:
                raise ValueError(f"`{field}` must be at least 0: got {getattr(self, field)}.")
        if self.loss == "wasserstein" and self.r1:
            raise ValueError(f"`r1` must be 0 for the Wasserstein loss: got {self.r1}.")

    def of_real(self, scores: PerExample) -> PerExample:
        """The discriminator's losses on real examples."""
        return -scores if self.loss == "wasserstein" else jax.nn.softplus(-scores)

    def of_generated(self, scores: PerExample) -> PerExample:
        """The discriminator's losses on generated examples."""
        return scores if self.loss == "wasserstein" else jax.nn.softplus(scores)

    def of_generator(self, scores: PerExample) -> PerExample:
        """The generator's losses."""
        return -self.of_generated(scores) if self.loss == "saturating" else self.of_real(scores)

    def gradient_penalty(
        self,
        score: Callable[[Examples], PerExample],
        keys: Key[Array, "batch"],
        real: Examples,
        generated: Examples,
    ) -> PerExample:
        """What is added for each pair of a real and a generated example, its weight included."""
        if self.loss != "wasserstein":
            return 0.5 * self.r1 * squared_slopes(score, real) if self.r1 else jnp.zeros(len(real))
        u = expand_like(jax.vmap(jax.random.uniform)(keys), real)
        squares = squared_slopes(score, u * real + (1 - u) * generated)
        # The root has no gradient at zero.
        return self.penalty * (jnp.sqrt(jnp.maximum(squares, 1e-12)) - 1) ** 2


def squared_slopes(score: Callable[[Examples], PerExample], x: Examples) -> PerExample:
    """``|grad score|^2`` at each example."""
    slopes = jax.grad(lambda x: score(x).sum())(x)
    return (slopes**2).reshape(len(x), -1).sum(axis=1)
