"""Division by ``A A^T`` in its eigenbasis."""

import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, expand_like
from sde_jax.operators.protocol import Variance

CUTOFF = 1e-3
"""Singular values up to this fraction of the largest are treated as unmeasured, without noise.

Without noise, a direction of relative singular value s is divided by s, which amplifies float32
rounding, 1e-7 of the largest value, by 1 / s. At the cutoff the error is 1e-4, far below one of 255
grey levels. With noise nothing is cut off.
"""


def solve_diagonal(
    y: Array,
    squares: Float[Array, "..."],
    variance: Variance,
    noise_variance: Variance,
    cutoff: float = CUTOFF,
) -> Array:
    """Returns ``y / (variance squares + noise_variance)``, and 0 where the divisor is 0.

    Args:
      y: coordinates along the eigenvectors of ``A A^T``, real or complex.
      squares: eigenvalues, of the rank of ``y``.
      variance: a scalar or one number per example.
      noise_variance: likewise.
      cutoff: singular values up to this fraction of the largest count as 0 where there is no noise.
    """
    variance = expand_like(jnp.asarray(variance), y)
    noise_variance = expand_like(jnp.asarray(noise_variance), y)
    denominators = variance * squares + noise_variance
    smallest = cutoff**2 * squares.max()
    divides = ((squares > smallest) | (noise_variance > 0)) & (denominators > 0)
    return jnp.where(divides, y / jnp.where(divides, denominators, 1.0), 0.0)


def gram_axes(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns eigenvectors, in columns, and eigenvalues of ``A A^T``, in float64 on the host."""
    squares, axes = np.linalg.eigh(matrix @ matrix.T)
    return axes, squares.clip(0.0)
