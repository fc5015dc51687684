"""Importance weights of samples with known densities."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PerExample


class ImportanceWeights(NamedTuple):
    """Weights by which samples of a model represent another density."""

    weights: PerExample
    """They sum to 1; ``(weights * f(x)).sum()`` estimates the mean of f under the density."""
    effective_sample_size: Float[Array, ""]
    """``1 / sum(weights^2)``, from 1 up to the number of samples (Kong 1992)."""
    log_normalizer: Float[Array, ""]
    """The logarithm of the estimated integral of the unnormalized density, the mean of its ratio to
    the model's density."""


def importance_weights(
    log_model: Float[Array, "batch"], log_target: Float[Array, "batch"]
) -> ImportanceWeights:
    """Returns weights proportional to ``exp(log_target - log_model)``.

    Args:
      log_model: log densities of samples under the model that they are drawn from, in nats, as
        `Likelihood.sample_and_log_density` returns them. Leave out samples that did not converge.
      log_target: log densities of these samples up to a common constant; minus infinity is weight
        zero.

    Raises:
      ValueError: unless there is one number of each for each sample, and at least one sample.
    """
    log_model, log_target = jnp.asarray(log_model), jnp.asarray(log_target)
    if log_model.ndim != 1 or log_model.shape != log_target.shape or not log_model.size:
        raise ValueError(
            "`log_model` and `log_target` must be one number for each sample, of shape [count]: "
            f"got {list(log_model.shape)} and {list(log_target.shape)}."
        )
    log_ratio = log_target - log_model
    weights = jax.nn.softmax(log_ratio)
    log_normalizer = jax.nn.logsumexp(log_ratio) - jnp.log(log_ratio.size)
    return ImportanceWeights(weights, 1 / jnp.sum(weights**2), log_normalizer)
