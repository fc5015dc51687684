"""The Fréchet distance: squared Wasserstein-2 distance of the Gaussians fitted to two sets."""

import jax.numpy as jnp

from sde_jax.arrays import Array, Float

__all__ = ["frechet_distance"]


def frechet_distance(
    first: Float[Array, "first dimension"], second: Float[Array, "second dimension"]
) -> Float[Array, ""]:
    """``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`` (Dowson and Landau 1982, eq. 4).

    The trace of the square root is the sum of the roots of the eigenvalues of the symmetric matrix
    ``C1^(1/2) C2 C1^(1/2)``, which stays real for singular covariances. Covariances are unbiased.
    Two sets of one Gaussian's n points are of the order of dimension / n apart.

    Args:
      first: points or features, two or more.
      second: others of the same dimension.
    """
    offset = first.mean(axis=0) - second.mean(axis=0)
    covariance_1, covariance_2 = (jnp.atleast_2d(jnp.cov(x, rowvar=False)) for x in (first, second))
    variances, axes = jnp.linalg.eigh(covariance_1)
    root = (axes * jnp.sqrt(jnp.maximum(variances, 0))[None]) @ axes.T
    overlaps = jnp.linalg.eigvalsh(root @ covariance_2 @ root)
    cross = jnp.sqrt(jnp.maximum(overlaps, 0)).sum()
    return jnp.sum(offset**2) + jnp.trace(covariance_1) + jnp.trace(covariance_2) - 2 * cross
