"""Maps of a score to the score of what is asked for: a class, or data that were measured.

Each is a pytree and a `Score` itself, so that no sampler can tell, and a new weight, label, mask or
measurement costs no compilation. An evaluation of it is one of the score that it is made of, or of
both; where it differentiates, one product with a Jacobian more.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, expand_like, pytree, sum_except_batch
from sde_jax.operators import LinearOperator, Operator
from sde_jax.score.denoiser import denoised, score_of_denoised
from sde_jax.score.protocol import Score
from sde_jax.sde.base import LinearSDE, Time

DPS_STEPS = 1000
"""Steps in which Chung et al. 2023 sample, each with one gradient step."""


@pytree
@dataclass(frozen=True, kw_only=True)
class ClassifierFreeGuidance:
    """``score_c + w (score_c - score_u)``, with the scores given a class and given none.

    Ho and Salimans 2022 (arXiv:2207.12598), eq. 6: w = 0 is plain conditional sampling, and w > 0
    samples what is more typical of its class than the data are. Outside of the interval of t it is
    ``score_c`` (Kynkaanniemi et al. 2024, arXiv:2404.07724): near the prior guidance costs variety,
    near the data it changes nothing. Both scores are evaluated at every t.
    """

    conditional: Score
    unconditional: Score
    weight: Float[Array, "*batch"]
    """w: one number, or one for each example."""
    low: Float[Array, ""] | float = 0.0
    """The least t that is guided."""
    high: Float[Array, ""] | float = 1.0
    """The greatest."""

    def __call__(self, x: Float[Array, "batch *shape"], t: Time) -> Float[Array, "batch *shape"]:
        """The guided score at ``(x, t)``."""
        given, alone = self.conditional(x, t), self.unconditional(x, t)
        weight = jnp.where((self.low <= t) & (t <= self.high), self.weight, 0.0)
        return given + expand_like(weight, x) * (given - alone)


@pytree
@dataclass(frozen=True, kw_only=True)
class LikelihoodGuidance:
    """``score + w grad_x log p(y | x_t = x)``: Bayes' rule, exact for w = 1 (Song et al. eq. 14).

    With the log probability that a noise-conditional classifier gives to a label, this is
    classifier guidance (Dhariwal and Nichol 2021, arXiv:2105.05233), whose scale is w.
    """

    score: Score
    log_likelihood: Callable[[Float[Array, "batch *shape"], Time], Float[Array, "batch"]]
    """``(x, t) -> log p(y | x_t = x)`` of each example, a pytree or any `jax.tree_util.Partial`."""
    weight: Float[Array, "*batch"] | float = 1.0
    """w: one number, or one for each example."""

    def __call__(self, x: Float[Array, "batch *shape"], t: Time) -> Float[Array, "batch *shape"]:
        """The guided score at ``(x, t)``."""
        gradient = jax.grad(lambda x: self.log_likelihood(x, t).sum())(x)
        return self.score(x, t) + expand_like(jnp.asarray(self.weight), x) * gradient


@pytree
@dataclass(frozen=True, kw_only=True)
class DPS:
    """Diffusion posterior sampling, for ``y = A(x_0) + noise`` with any differentiable A.

    Chung et al. 2023 (arXiv:2209.14687), alg. 1: each of 1,000 steps of ancestral sampling is
    followed by one down the gradient of the residual, ``x' - zeta grad_x |y - A(D(x))|``, with D
    the posterior mean. Such a step for every thousandth of time is that of the score

    ::

        score - zeta 1000 / g(t)^2 grad_x |y - A(D(x, t))|

    which is what this is, on any grid and for any SDE. The step is not small: in much fewer than
    1,000 steps it overshoots. It samples no posterior, and not even with an exact score: the length
    of the step knows nothing of the noise. The Jacobian of D is taken as symmetric: see `PiGDM`.
    """

    score: Score
    sde: LinearSDE = field(metadata={"static": True})
    operator: Operator
    measurement: Float[Array, "batch *measured"]
    """y."""
    step: Float[Array, ""] | float = 1.0
    """zeta; published: 1 for masks and super-resolution, .4 for blur."""
    high: Float[Array, ""] | float = 1.0
    """The greatest t that is guided; see `PiGDM`."""

    def __call__(self, x: Float[Array, "batch *shape"], t: Time) -> Float[Array, "batch *shape"]:
        """The guided score at ``(x, t)``."""

        def total_distance(mean: Array) -> Array:
            squares = sum_except_batch((self.measurement - self.operator(mean)) ** 2)
            positive = squares > 0
            return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0).sum()

        mean, times_jacobian, score = _denoised_and_jacobian(self.score, self.sde, x, t)
        gradient = times_jacobian(jax.grad(total_distance)(mean))
        size = self.step * DPS_STEPS / self.sde.diffusion_squared(t)
        guided = score - expand_like(size, x) * gradient
        return jnp.where(expand_like(t <= self.high, x), guided, score)


@pytree
@dataclass(frozen=True, kw_only=True)
class PiGDM:
    """Pseudoinverse guidance, for measurements ``y = A x_0 + noise z`` by a linear A.

    Song et al. 2023 (ICLR, "Pseudoinverse-guided diffusion models"), eq. 7: were x_0 given x_t a
    Gaussian about the posterior mean D of variance ``r^2 = sigma^2 / (alpha^2 + sigma^2)``, which
    holds for unit data, then

    ::

        grad log p(y | x_t) = J^T A^T (r^2 A A^T + noise^2)^-1 (y - A D(x_t, t)),   J = dD / dx_t

    One evaluation and one product with J. That of a score is symmetric, ``(I + sigma^2 hess log
    p_t) / alpha``, and a network's nearly so: the product is taken in forward mode, since in a
    compiled loop on CPUs the reverse one of convolutions is ten times slower. J is the score's
    Jacobian times ``sigma^2 / alpha``: near the prior of VP a network's small error in it is more
    than all that there is to guide, and ``high`` leaves it out.
    """

    score: Score
    sde: LinearSDE = field(metadata={"static": True})
    operator: LinearOperator
    measurement: Float[Array, "batch *measured"]
    """y."""
    noise: Float[Array, "*batch"] | float = 0.0
    """Deviation of the measurement's noise: one number, or one for each example."""
    high: Float[Array, ""] | float = 1.0
    """The greatest t that is guided. What later steps make of ``x_high`` hardly hangs on y."""

    def __call__(self, x: Float[Array, "batch *shape"], t: Time) -> Float[Array, "batch *shape"]:
        """The guided score at ``(x, t)``."""
        mean, times_jacobian, score = _denoised_and_jacobian(self.score, self.sde, x, t)
        alpha, sigma = self.sde.alpha(t), self.sde.sigma(t)
        variance = sigma**2 / (alpha**2 + sigma**2)
        residual = self.measurement - self.operator(mean)
        explained = self.operator.solve(residual, variance, jnp.asarray(self.noise) ** 2)
        guidance = times_jacobian(self.operator.adjoint(explained))
        return jnp.where(expand_like(t <= self.high, x), score + guidance, score)


@pytree
@dataclass(frozen=True, kw_only=True)
class DDNM:
    """The null space alone is generated, for measurements ``y = A x_0 + noise z`` by a linear A.

    Wang et al. 2023 (arXiv:2212.00490): the posterior mean D becomes ``A^+ y + (I - A^+ A) D``,
    which agrees with y. Where there is noise, it is the proximal step of Zhu et al. 2023 (DiffPIR,
    arXiv:2305.08995), of which that is the limit,

    ::

        D + r^2 A^T (r^2 A A^T + noise^2)^-1 (y - A D),   r = sigma / alpha

    the minimizer of ``|y - A x|^2 / noise^2 + |x - D|^2 / r^2``. No gradient is needed. With a
    `Mask` and no noise, the known part of a sample is led exactly as if it were noised data, by
    every sampler.
    """

    score: Score
    sde: LinearSDE = field(metadata={"static": True})
    operator: LinearOperator
    measurement: Float[Array, "batch *measured"]
    """y."""
    noise: Float[Array, "*batch"] | float = 0.0
    """Deviation of the measurement's noise: one number, or one for each example."""

    def __call__(self, x: Float[Array, "batch *shape"], t: Time) -> Float[Array, "batch *shape"]:
        """The guided score at ``(x, t)``."""
        mean = denoised(self.score, self.sde, x, t)
        residual = self.measurement - self.operator(mean)
        noise = jnp.asarray(self.noise) / self.sde.noise_to_signal(t)
        correction = self.operator.adjoint(self.operator.solve(residual, 1.0, noise**2))
        return score_of_denoised(self.sde, mean + correction, x, t)


def _denoised_and_jacobian(
    score: Score, sde: LinearSDE, x: Float[Array, "batch *shape"], t: Time
) -> tuple[Array, Callable[[Array], Array], Array]:
    """The posterior mean, what multiplies by its Jacobian in forward mode, and the score."""
    alpha, sigma = expand_like(sde.alpha(t), x), expand_like(sde.sigma(t), x)

    def mean_of(x: Array) -> tuple[Array, Array]:
        of_x = score(x, t)
        return (x + sigma**2 * of_x) / alpha, of_x

    return jax.linearize(mean_of, x, has_aux=True)
