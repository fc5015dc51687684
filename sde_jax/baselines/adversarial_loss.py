"""Losses of the generator and discriminator of a GAN."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from sde_jax.arrays import Examples, Keys, PerExample, expand_like, sum_except_batch
from sde_jax.validation import NOT_NEGATIVE, NotNegative, Only, Spec

_WASSERSTEIN = Only("`loss` is wasserstein", lambda loss: loss.loss == "wasserstein")


@dataclass(frozen=True, kw_only=True)
class AdversarialLoss(Spec):
    """The losses of discriminator and generator as functions of the discriminator's scores ``d``.

    ::

        loss              of real x       of generated y   of the generator
        "saturating"      softplus(-d)    softplus(d)      -softplus(d)
        "non_saturating"  softplus(-d)    softplus(d)      softplus(-d)
        "wasserstein"     -d              d                -d

    The first two are Goodfellow et al. 2014 (arXiv:1406.2661), eq. 1 and section 3, with
    ``D = sigmoid(d)``. They add ``r1 / 2 |grad d(x)|^2`` for each real x (Mescheder et al. 2018,
    arXiv:1801.04406, eq. 9). The third adds ``penalty (|grad d(z)| - 1)^2`` at one
    ``z = u x + (1 - u) y`` for each pair, with u uniform on [0, 1) (Gulrajani et al. 2017,
    arXiv:1704.00028, eq. 3).

    Raises:
      ValueError: if a field is out of range, or ``r1`` is set for the Wasserstein loss.
    """

    loss: Literal["saturating", "non_saturating", "wasserstein"] = "non_saturating"
    penalty: Annotated[float, NOT_NEGATIVE, _WASSERSTEIN] = 10.0
    """Weight of the gradient penalty of the Wasserstein loss; unused by the others."""
    r1: NotNegative = 0.0
    """Weight of the R1 penalty of the other losses."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss == "wasserstein" and self.r1:
            raise ValueError(f"`r1` must be 0 for the Wasserstein loss: got {self.r1}.")

    def real_losses(self, scores: PerExample) -> PerExample:
        """Returns the discriminator's losses on real examples."""
        return -scores if self.loss == "wasserstein" else jax.nn.softplus(-scores)

    def generated_losses(self, scores: PerExample) -> PerExample:
        """Returns the discriminator's losses on generated examples."""
        return scores if self.loss == "wasserstein" else jax.nn.softplus(scores)

    def generator_losses(self, scores: PerExample) -> PerExample:
        """Returns the generator's losses."""
        saturating = self.loss == "saturating"
        return -self.generated_losses(scores) if saturating else self.real_losses(scores)

    def gradient_penalty(
        self,
        score: Callable[[Examples], PerExample],
        keys: Keys,
        real: Examples,
        generated: Examples,
    ) -> PerExample:
        """Returns the weighted penalty of each pair of a real and a generated example."""
        if self.loss != "wasserstein":
            if not self.r1:
                return jnp.zeros(len(real))
            return 0.5 * self.r1 * squared_gradient_norms(score, real)
        u = expand_like(jax.vmap(jax.random.uniform)(keys), real)
        squares = squared_gradient_norms(score, u * real + (1 - u) * generated)
        # The square root has no finite gradient at zero.
        return self.penalty * (jnp.sqrt(jnp.maximum(squares, 1e-12)) - 1) ** 2


def squared_gradient_norms(score: Callable[[Examples], PerExample], x: Examples) -> PerExample:
    """Returns ``|grad score|^2`` at each example."""
    return sum_except_batch(jax.grad(lambda x: score(x).sum())(x) ** 2)
