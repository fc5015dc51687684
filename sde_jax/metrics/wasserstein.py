"""Wasserstein distances without Gaussian fits: in one dimension, and sliced."""

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PRNGKeyArray


def wasserstein_1(first: Float[Array, "count"], second: Float[Array, "count"]) -> Float[Array, ""]:
    """Returns the Wasserstein-1 distance of two equally large sets of numbers, the mean sorted gap.

    Raises:
      ValueError: if the sets differ in size.
    """
    _check_sizes(first, second)
    return jnp.abs(jnp.sort(first) - jnp.sort(second)).mean()


def sliced_wasserstein_2(
    key: PRNGKeyArray,
    first: Float[Array, "count dimension"],
    second: Float[Array, "count dimension"],
    *,
    projections: int = 256,
) -> Float[Array, ""]:
    """Returns the root mean squared Wasserstein-2 distance over random directions.

    Bonneel et al. 2015 (doi:10.1007/s10851-014-0506-3), eq. 8, by Monte Carlo.

    Args:
      key: determines the directions.
      first: points.
      second: points, as many as ``first``.
      projections: number of directions.

    Raises:
      ValueError: if the sets differ in size.
    """
    _check_sizes(first, second)
    precision = jnp.result_type(first, second, jnp.float32)
    directions = jax.random.normal(key, (first.shape[1], projections), precision)
    directions /= jnp.linalg.norm(directions, axis=0, keepdims=True)
    gaps = jnp.sort(first @ directions, axis=0) - jnp.sort(second @ directions, axis=0)
    return jnp.sqrt(jnp.mean(gaps**2))


def _check_sizes(first: Array, second: Array) -> None:
    if len(first) != len(second):
        raise ValueError(f"both sets must have the same size: got {len(first)} and {len(second)}.")
