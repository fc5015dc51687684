"""Closed-form maps of the probability flow."""

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from sde_jax.arrays import Array, Examples, PerExample
from sde_jax.score.exact import GaussianMixture
from sde_jax.sde.base import LinearSDE, Time


def gaussian_flow(
    gaussian: GaussianMixture, sde: LinearSDE, x: Examples, t: Time, s: Time
) -> Examples:
    """Carries ``x`` along the probability flow of one Gaussian from time ``t`` to time ``s``.

    Along each principal axis ``(x - alpha m) / sqrt(alpha^2 v + sigma^2)`` is conserved. It solves
    ``d(x - alpha m)/dt = (a + g^2 / (2 (alpha^2 v + sigma^2))) (x - alpha m)``, which is eq. 13 of
    Song et al. with the score of a Gaussian. ``t`` and ``s`` are scalars, in either order.

    Raises:
      ValueError: if the mixture has more than one component.
    """
    if gaussian.weights.size != 1:
        raise ValueError(
            f"`gaussian` must have one component: got {gaussian.weights.size}. "
            "In one dimension use `quantile_flow`; elsewhere no closed form is known."
        )
    mean, variances = gaussian.means[0], gaussian.variances[0]
    axes = jnp.eye(mean.size, dtype=mean.dtype) if gaussian.axes is None else gaussian.axes[0]
    ratio = (sde.alpha(s) ** 2 * variances + sde.sigma(s) ** 2) / (
        sde.alpha(t) ** 2 * variances + sde.sigma(t) ** 2
    )
    offsets = x.reshape(x.shape[0], -1) - sde.alpha(t) * mean[None]
    with jax.default_matmul_precision("highest"):
        carried = (offsets @ axes * jnp.sqrt(ratio)[None]) @ axes.T
    return (sde.alpha(s) * mean[None] + carried).reshape(x.shape)


def quantile_flow(
    mixture: GaussianMixture, sde: LinearSDE, x: PerExample, t: Time, s: Time
) -> PerExample:
    """Carries ``x`` along the probability flow of a one-dimensional mixture from ``t`` to ``s``.

    In one dimension trajectories do not cross, so each point keeps its quantile. The quantile is
    inverted by bisection on its log odds, which are accurate in both tails.

    Raises:
      ValueError: if the mixture is not one-dimensional.
    """
    if mixture.means.shape[1] != 1:
        raise ValueError(
            f"`mixture` must have one dimension: got {mixture.means.shape[1]}. "
            "Solve the flow in float64 instead."
        )
    target = _log_odds(mixture, sde, x, t)
    spread = jnp.sqrt(sde.alpha(s) ** 2 * mixture.variances.max() + sde.sigma(s) ** 2)
    centres = sde.alpha(s) * mixture.means
    reach = 40 * spread
    low = jnp.full_like(x, centres.min() - reach)
    high = jnp.full_like(x, centres.max() + reach)

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = 0.5 * (low + high)
        above = _log_odds(mixture, sde, middle, s) > target
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    low, high = jax.lax.fori_loop(0, 80, halve, (low, high))
    return 0.5 * (low + high)


def _log_odds(mixture: GaussianMixture, sde: LinearSDE, x: Array, t: Time) -> Array:
    deviations = jnp.sqrt(sde.alpha(t) ** 2 * mixture.variances[:, 0] + sde.sigma(t) ** 2)
    offsets = x[:, None] - sde.alpha(t) * mixture.means[None, :, 0]
    standardized = offsets / deviations[None]
    log_weights = jnp.log(mixture.weights)[None]
    below = jax.nn.logsumexp(log_weights + norm.logcdf(standardized), axis=1)
    above = jax.nn.logsumexp(log_weights + norm.logcdf(-standardized), axis=1)
    return below - above
