"""Separable operators: one matrix for rows and one for columns, such as downsampling and blur."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter1d

from sde_jax.arrays import Array, Float, Image, pytree
from sde_jax.operators.images import check_size
from sde_jax.operators.protocol import Variance
from sde_jax.operators.spectrum import gram_axes, solve_diagonal


@pytree
@dataclass(frozen=True)
class Separable:
    """``y = R x C^T`` for each channel, with a matrix R for the rows and C for the columns.

    ``A = R (x) C``, so the eigenvectors of ``A A^T`` are products of those of ``R R^T`` and
    ``C C^T``, and so are its eigenvalues. Without noise, directions up to the `CUTOFF` are treated
    as unmeasured.

    Raises:
      ValueError: when called, if images have another size.
    """

    rows: Float[Array, "measured_height height"]
    columns: Float[Array, "measured_width width"]
    row_axes: Float[Array, "measured_height measured_height"]
    """Eigenvectors of ``R R^T``, in orthonormal columns."""
    column_axes: Float[Array, "measured_width measured_width"]
    """Eigenvectors of ``C C^T``, in orthonormal columns."""
    squares: Float[Array, "measured_height measured_width"]
    """Eigenvalues of ``A A^T`` along these axes."""

    @staticmethod
    def from_matrices(rows: np.ndarray, columns: np.ndarray) -> "Separable":
        """Builds the operator and its eigendecomposition, in float64 on the host.

        Raises:
          ValueError: unless both are matrices.
        """
        rows, columns = np.asarray(rows, np.float64), np.asarray(columns, np.float64)
        for name, matrix in (("rows", rows), ("columns", columns)):
            if matrix.ndim != 2:
                raise ValueError(f"`{name}` must be a matrix: got shape {matrix.shape}.")
        row_axes, row_squares = gram_axes(rows)
        column_axes, column_squares = gram_axes(columns)
        squares = np.outer(row_squares, column_squares)
        arrays = (rows, columns, row_axes, column_axes, squares)
        return Separable(*(jnp.asarray(array, jnp.float32) for array in arrays))

    def __call__(self, x: Image) -> Image:
        """Returns ``R x C^T``."""
        check_size(x, self.rows.shape[1], self.columns.shape[1])
        return _multiply(self.rows, x, self.columns)

    def adjoint(self, y: Image) -> Image:
        """Returns ``R^T y C``."""
        check_size(y, self.rows.shape[0], self.columns.shape[0])
        return _multiply(self.rows.T, y, self.columns.T)

    def solve(self, y: Image, variance: Variance, noise_variance: Variance) -> Image:
        """Returns ``(variance A A^T + noise_variance I)^+ y``, by division along the axes."""
        check_size(y, *self.squares.shape)
        along = _multiply(self.row_axes.T, y, self.column_axes.T)
        squares = self.squares[None, :, :, None]
        along = solve_diagonal(along, squares, variance, noise_variance)
        return _multiply(self.row_axes, along, self.column_axes)


def block_average(height: int, width: int, factor: int) -> Separable:
    """Builds the mean over blocks of ``factor`` x ``factor`` pixels.

    Raises:
      ValueError: unless ``factor`` is at least 1 and divides height and width.
    """
    _check_factor(height, width, factor)

    def averages(size: int) -> np.ndarray:
        return np.kron(np.eye(size // factor), np.full((1, factor), 1.0 / factor))

    return Separable.from_matrices(averages(height), averages(width))


def bicubic(height: int, width: int, factor: int) -> Separable:
    """Builds bicubic downsampling by ``factor``, with a kernel stretched by the same factor.

    ::

        y_i = sum_j k((j - c_i) / factor) x_j / sum_j k((j - c_i) / factor)

    for rows and for columns, with the centre ``c_i = (i + 1/2) factor - 1/2`` of output pixel i and
    the kernel k of Keys 1981 (doi:10.1109/TASSP.1981.1163711), a = -1/2. At the borders the sums
    run over existing pixels. The result agrees with Pillow and `jax.image.resize`.

    Raises:
      ValueError: unless ``factor`` is at least 1 and divides height and width.
    """
    _check_factor(height, width, factor)

    def weights(size: int) -> np.ndarray:
        with jax.ensure_compile_time_eval():
            return np.asarray(jax.image.resize(np.eye(size), (size // factor, size), "cubic"))

    return Separable.from_matrices(weights(height), weights(width))


def gaussian_blur(height: int, width: int, deviation: float) -> Separable:
    """Builds a Gaussian blur of ``deviation`` pixels that keeps the size.

    The kernel ends at 4 deviations, rounded to whole pixels, and sums to one. Images are extended
    by reflection that repeats the border pixel: ``c b a | a b c``.

    Raises:
      ValueError: unless ``deviation`` is positive.
    """
    most = 10 * max(height, width)
    if not 0 < deviation <= most:
        raise ValueError(
            f"`deviation` must be positive, in pixels, and at most {most} for {height}x{width} "
            f"images: got deviation={deviation}."
        )

    def weights(size: int) -> np.ndarray:
        return gaussian_filter1d(np.eye(size), deviation, axis=0, mode="reflect", truncate=4.0)

    return Separable.from_matrices(weights(height), weights(width))


def _multiply(rows: Array, x: Array, columns: Array) -> Array:
    """Returns ``rows x columns^T`` for each channel."""
    precision = jax.lax.Precision.HIGHEST
    x = jnp.einsum("ih,bhwc->biwc", rows, x, precision=precision)
    return jnp.einsum("jw,biwc->bijc", columns, x, precision=precision)


def _check_factor(height: int, width: int, factor: int) -> None:
    if factor < 1 or height % factor or width % factor:
        raise ValueError(
            f"`factor` must be at least 1 and divide height and width of {height}x{width} images: "
            f"got factor={factor}."
        )
