"""Guidance: maps from a score to the score given a class or a measurement.

Each guided score is a `Score` and a pytree, so every sampler accepts it, and new weights, labels,
masks or measurements need no recompilation. One evaluation costs one evaluation of each score it is
made of, plus one Jacobian product where it differentiates.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, Float, PerExample, expand_like, pytree, sum_except_batch
from sde_jax.operators import LinearOperator, Operator
from sde_jax.score.denoiser import denoised, score_of_denoised
from sde_jax.score.protocol import Score
from sde_jax.sde.base import LinearSDE, Time

DPS_STEPS = 1000
"""Number of sampling steps of Chung et al. 2023, each with one gradient step."""


@pytree
@dataclass(frozen=True, kw_only=True)
class ClassifierFreeGuidance:
    """``score_c + w (score_c - score_u)``, with the conditional and the unconditional score.

    Ho and Salimans 2022 (arXiv:2207.12598), eq. 6. w = 0 is plain conditional sampling; w > 0 gives
    samples more typical of their class than the data. Outside the interval [``low``, ``high``] of t
    it is ``score_c`` (Kynkaanniemi et al. 2024, arXiv:2404.07724): guidance near the prior reduces
    diversity, and near the data it has no effect. Both scores are evaluated at every t.
    """

    conditional: Score
    unconditional: Score
    weight: Float[Array, "*batch"]
    """w: a scalar, or one number per example."""
    low: Float[Array, ""] | float = 0.0
    """Smallest guided t."""
    high: Float[Array, ""] | float = 1.0
    """Largest guided t."""

    def __call__(self, x: Examples, t: Time) -> Examples:
        given, alone = self.conditional(x, t), self.unconditional(x, t)
        weight = jnp.where((self.low <= t) & (t <= self.high), self.weight, 0.0)
        return given + expand_like(weight, x) * (given - alone)


@pytree
@dataclass(frozen=True, kw_only=True)
class LikelihoodGuidance:
    """``score + w grad_x log p(y | x_t = x)``: Bayes' rule, exact for w = 1 (Song et al. eq. 14).

    With the log probability that a noise-conditional classifier assigns to a label, this is
    classifier guidance (Dhariwal and Nichol 2021, arXiv:2105.05233) of scale w.
    """

    score: Score
    log_likelihood: Callable[[Examples, Time], PerExample]
    """``(x, t) -> log p(y | x_t = x)`` of each example; a pytree or a `jax.tree_util.Partial`."""
    weight: Float[Array, "*batch"] | float = 1.0
    """w: a scalar, or one number per example."""

    def __call__(self, x: Examples, t: Time) -> Examples:
        gradient = jax.grad(lambda x: self.log_likelihood(x, t).sum())(x)
        return self.score(x, t) + expand_like(jnp.asarray(self.weight), x) * gradient


@pytree
@dataclass(frozen=True, kw_only=True)
class DPS:
    """Diffusion posterior sampling, for ``y = A(x_0) + noise`` with any differentiable A.

    Chung et al. 2023 (arXiv:2209.14687), alg. 1, follow each of 1,000 ancestral steps by a gradient
    step on the residual, ``x' - zeta grad_x |y - A(D(x))|``, where D is the posterior mean. One
    such step per thousandth of time is equivalent to the score

    ::

        score - zeta 1000 / g(t)^2 grad_x |y - A(D(x, t))|

    which is used here, on any grid and for any SDE. The guidance term is large: with far fewer than
    1,000 steps it overshoots. The samples do not follow the posterior even with an exact score,
    since the step size does not depend on the noise. The Jacobian of D is assumed symmetric: see
    `PiGDM`.
    """

    score: Score
    sde: LinearSDE = field(metadata={"static": True})
    operator: Operator
    measurement: Float[Array, "batch *measured"]
    """y."""
    step: Float[Array, ""] | float = 1.0
    """zeta; published: 1 for masks and super-resolution, .4 for blur."""
    high: Float[Array, ""] | float = 1.0
    """Largest guided t; see `PiGDM`."""

    def __call__(self, x: Examples, t: Time) -> Examples:

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

    Song et al. 2023 (ICLR, "Pseudoinverse-guided diffusion models"), eq. 7. It approximates x_0
    given x_t by a Gaussian with mean D, the posterior mean, and variance
    ``r^2 = sigma^2 / (alpha^2 + sigma^2)``, which is exact for standard Gaussian data. Then

    ::

        grad log p(y | x_t) = J^T A^T (r^2 A A^T + noise^2)^-1 (y - A D(x_t, t)),   J = dD / dx_t

    The cost is one evaluation and one product with J. The Jacobian of an exact denoiser is
    symmetric, ``(I + sigma^2 hess log p_t) / alpha``, and that of a network nearly so. The product
    is therefore computed in forward mode: in a compiled loop on CPUs, reverse mode of convolutions
    is ten times slower. J contains the score's Jacobian times ``sigma^2 / alpha``. Near the prior
    of VP this factor amplifies small network errors beyond the guidance itself; ``high`` excludes
    those times.
    """

    score: Score
    sde: LinearSDE = field(metadata={"static": True})
    operator: LinearOperator
    measurement: Float[Array, "batch *measured"]
    """y."""
    noise: Float[Array, "*batch"] | float = 0.0
    """Standard deviation of the measurement noise: a scalar, or one number per example."""
    high: Float[Array, ""] | float = 1.0
    """Largest guided t. Samples depend little on guidance at larger t."""

    def __call__(self, x: Examples, t: Time) -> Examples:
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
    """Null-space guidance, for measurements ``y = A x_0 + noise z`` by a linear A.

    Wang et al. 2023 (arXiv:2212.00490) replace the posterior mean D by ``A^+ y + (I - A^+ A) D``,
    which is consistent with y. For noisy measurements this generalizes to the proximal step of Zhu
    et al. 2023 (DiffPIR, arXiv:2305.08995),

    ::

        D + r^2 A^T (r^2 A A^T + noise^2)^-1 (y - A D),   r = sigma / alpha

    the minimizer of ``|y - A x|^2 / noise^2 + |x - D|^2 / r^2``. It needs no gradient. With a
    `Mask` and no noise, every sampler evolves the known pixels exactly as noised data.
    """

    score: Score
    sde: LinearSDE = field(metadata={"static": True})
    operator: LinearOperator
    measurement: Float[Array, "batch *measured"]
    """y."""
    noise: Float[Array, "*batch"] | float = 0.0
    """Standard deviation of the measurement noise: a scalar, or one number per example."""

    def __call__(self, x: Examples, t: Time) -> Examples:
        mean = denoised(self.score, self.sde, x, t)
        residual = self.measurement - self.operator(mean)
        noise = jnp.asarray(self.noise) / self.sde.noise_to_signal(t)
        correction = self.operator.adjoint(self.operator.solve(residual, 1.0, noise**2))
        return score_of_denoised(self.sde, mean + correction, x, t)


def _denoised_and_jacobian(
    score: Score, sde: LinearSDE, x: Examples, t: Time
) -> tuple[Array, Callable[[Array], Array], Array]:
    """Returns the posterior mean, its Jacobian-vector product in forward mode, and the score."""
    alpha, sigma = expand_like(sde.alpha(t), x), expand_like(sde.sigma(t), x)

    def mean_of(x: Array) -> tuple[Array, Array]:
        of_x = score(x, t)
        return (x + sigma**2 * of_x) / alpha, of_x

    return jax.linearize(mean_of, x, has_aux=True)
