"""Drifts of the reverse-time SDE and of the probability-flow ODE, given a score."""

from sde_jax.arrays import Array, Examples, expand_like
from sde_jax.sde.base import LinearSDE, Time


def reverse_drift(sde: LinearSDE, x: Examples, t: Time, score: Examples) -> Examples:
    """Returns the drift of the reverse-time SDE, ``a(t) x - g(t)^2 score``.

    Anderson 1982; Song et al. eq. 6.

    Args:
      sde: the forward process.
      x: states at time ``t``.
      t: a scalar, or one time per example.
      score: the score at ``(x, t)``.

    Returns:
      ``dx / dt``. The reverse-time SDE runs from t = 1 down, with diffusion coefficient ``g(t)``.
    """
    return _drift(sde, x, t, score, share=1.0)


def probability_flow_drift(sde: LinearSDE, x: Examples, t: Time, score: Examples) -> Examples:
    """Returns the drift of the probability-flow ODE, ``a(t) x - g(t)^2 score / 2``.

    Song et al. eq. 13. The ODE has the marginal densities of the SDE. Arguments are those of
    `reverse_drift`.
    """
    return _drift(sde, x, t, score, share=0.5)


def _drift(sde: LinearSDE, x: Array, t: Time, score: Array, share: float) -> Array:
    rate = expand_like(sde.drift_rate(t), x)
    diffusion_squared = expand_like(sde.diffusion_squared(t), x)
    return rate * x - share * diffusion_squared * score
