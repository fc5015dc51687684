"""Dense matrix operators, for examples of any shape."""

import math
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Examples, Float, pytree
from sde_jax.operators.protocol import Variance
from sde_jax.operators.spectrum import gram_axes, solve_diagonal


@pytree
@dataclass(frozen=True)
class Matrix:
    """``y = M x`` of an example x that is flattened to D numbers; y is ``[batch, m]``.

    Without noise, directions up to the `CUTOFF` are treated as unmeasured.

    Raises:
      ValueError: when called, if examples have another shape.
    """

    matrix: Float[Array, "m D"]
    axes: Float[Array, "m m"]
    """Eigenvectors of ``M M^T``, in orthonormal columns."""
    squares: Float[Array, "m"]
    """Eigenvalues of ``M M^T``, the squared singular values of M."""
    shape: tuple[int, ...] = field(metadata={"static": True})
    """Shape of one example."""

    @staticmethod
    def from_array(matrix: np.ndarray, shape: tuple[int, ...] | None = None) -> "Matrix":
        """Builds the operator and its eigendecomposition, in float64 on the host.

        Args:
          matrix: M, ``[m, D]``.
          shape: shape of one example; None for points, ``(D,)``.

        Raises:
          ValueError: unless ``matrix`` has two dimensions and a column per number of an example.
        """
        matrix = np.asarray(matrix, np.float64)
        if matrix.ndim != 2:
            raise ValueError(f"`matrix` must have two dimensions: got shape {matrix.shape}.")
        shape = (matrix.shape[1],) if shape is None else tuple(shape)
        if math.prod(shape) != matrix.shape[1]:
            raise ValueError(
                f"`shape` must hold as many numbers as `matrix` has columns, {matrix.shape[1]}: "
                f"got shape={shape}."
            )
        float32 = partial(jnp.asarray, dtype=jnp.float32)
        axes, squares = gram_axes(matrix)
        return Matrix(float32(matrix), float32(axes), float32(squares), shape)

    def __call__(self, x: Examples) -> Float[Array, "batch m"]:
        """Returns ``M x``."""
        if x.shape[1:] != self.shape:
            raise ValueError(f"x must be [batch, *{self.shape}]: got shape {x.shape}.")
        return _multiply(x.reshape(x.shape[0], -1), self.matrix.T)

    def adjoint(self, y: Float[Array, "batch m"]) -> Examples:
        """Returns ``M^T y``, in the shape of examples."""
        self._check(y)
        return _multiply(y, self.matrix).reshape(-1, *self.shape)

    def solve(
        self, y: Float[Array, "batch m"], variance: Variance, noise_variance: Variance
    ) -> Float[Array, "batch m"]:
        """Returns ``(variance M M^T + noise_variance I)^+ y``, by division along the axes."""
        self._check(y)
        along = _multiply(y, self.axes)
        along = solve_diagonal(along, self.squares[None], variance, noise_variance)
        return _multiply(along, self.axes.T)

    def _check(self, y: Array) -> None:
        if y.ndim != 2 or y.shape[1:] != self.squares.shape:
            raise ValueError(f"y must be [batch, {self.squares.size}]: got shape {y.shape}.")


def _multiply(vectors: Array, matrix: Array) -> Array:
    return jnp.matmul(vectors, matrix, precision=jax.lax.Precision.HIGHEST)
