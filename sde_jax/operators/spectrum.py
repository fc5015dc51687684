"""Division by ``A A^T`` along its axes."""

import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, expand_like
from sde_jax.operators.protocol import Variance

CUTOFF = 1e-3
"""The singular value, relative to the largest, up to which a direction counts as not measured.

Without noise a direction of relative singular value s is divided by s, and with it the rounding of
float32, 1e-7 of the whole. At the cutoff that is 1e-4, still far less than one of 255 grey levels;
with noise nothing is cut off.
"""


def solve_diagonal(
    y: Array,
    squares: Float[Array, "..."],
    variance: Variance,
    noise_variance: Variance,
    smallest: Float[Array, ""] | float = 0.0,
) -> Array:
    """``y / (variance squares + noise_variance)``, and 0 instead of a division by 0.

    Args:
      y: coordinates along the axes of ``A A^T``, real or complex.
      squares: squared singular values there, of the rank of ``y``.
      variance: one number or one for each example.
      noise_variance: likewise.
      smallest: squares up to it count as 0 where there is no noise.
    """
    variance = expand_like(jnp.asarray(variance), y)
    noise_variance = expand_like(jnp.asarray(noise_variance), y)
    denominators = variance * squares + noise_variance
    divides = ((squares > smallest) | (noise_variance > 0)) & (denominators > 0)
    return jnp.where(divides, y / jnp.where(divides, denominators, 1.0), 0.0)


def smallest_square(squares: Float[Array, "..."]) -> Float[Array, ""]:
    """The squared singular value at the `CUTOFF`."""
    return CUTOFF**2 * squares.max()


def gram_axes(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors, in columns, and eigenvalues of ``A A^T``, in float64 on the host."""
    squares, axes = np.linalg.eigh(matrix @ matrix.T)
    return axes, squares.clip(0.0)
