"""Rows and columns of an image, each through a matrix: smaller images and blurred ones."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, pytree
from sde_jax.operators.images import Image, check_size
from sde_jax.operators.protocol import Variance
from sde_jax.operators.spectrum import gram_axes, smallest_square, solve_diagonal


@pytree
@dataclass(frozen=True)
class Separable:
    """``y = R x C^T`` for each channel, with a matrix R for the rows and C for the columns.

    ``A = R (x) C``, so that the axes of ``A A^T`` are products of those of ``R R^T`` and ``C C^T``,
    and so are their squared singular values. Without noise, directions up to the `CUTOFF` count as
    not measured.

    Raises:
      ValueError: when called, if images have another size.
    """

    rows: Float[Array, "measured_height height"]
    columns: Float[Array, "measured_width width"]
    row_axes: Float[Array, "measured_height measured_height"]
    """Orthonormal columns, the axes of ``R R^T``."""
    column_axes: Float[Array, "measured_width measured_width"]
    """Orthonormal columns, the axes of ``C C^T``."""
    squares: Float[Array, "measured_height measured_width"]
    """Squared singular values along these axes."""

    @staticmethod
    def from_matrices(rows: np.ndarray, columns: np.ndarray) -> "Separable":
        """The operator, with its axes, which are computed in float64 on the host.

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
        """``R x C^T``."""
        check_size(x, self.rows.shape[1], self.columns.shape[1])
        return _multiply(self.rows, x, self.columns)

    def adjoint(self, y: Image) -> Image:
        """``R^T y C``."""
        check_size(y, self.rows.shape[0], self.columns.shape[0])
        return _multiply(self.rows.T, y, self.columns.T)

    def solve(self, y: Image, variance: Variance, noise_variance: Variance) -> Image:
        """``(variance A A^T + noise_variance I)^+ y``, by division along the axes."""
        check_size(y, *self.squares.shape)
        along = _multiply(self.row_axes.T, y, self.column_axes.T)
        squares, smallest = self.squares[None, :, :, None], smallest_square(self.squares)
        along = solve_diagonal(along, squares, variance, noise_variance, smallest)
        return _multiply(self.row_axes, along, self.column_axes)


def block_average(height: int, width: int, factor: int) -> Separable:
    """Means of squares of ``factor`` pixels on a side: ``[height / factor, width / factor]``.

    Raises:
      ValueError: unless ``factor`` is at least 1 and divides height and width.
    """
    _check_factor(height, width, factor)

    def averages(size: int) -> np.ndarray:
        return np.kron(np.eye(size // factor), np.full((1, factor), 1.0 / factor))

    return Separable.from_matrices(averages(height), averages(width))


def bicubic(height: int, width: int, factor: int) -> Separable:
    """Images that are ``factor`` times smaller, by a cubic kernel that is as much wider.

    ::

        y_i = sum_j k((j - c_i) / factor) x_j / sum_j k((j - c_i) / factor)

    for rows and for columns, with the centre ``c_i = (i + 1/2) factor - 1/2`` of the pixels that
    become one, and the kernel k of Keys 1981 (doi:10.1109/TASSP.1981.1163711), a = -1/2. At the
    borders the sums run over the pixels that there are. Pillow's and `jax.image.resize`'s images
    are these.

    Raises:
      ValueError: unless ``factor`` is at least 1 and divides height and width.
    """
    _check_factor(height, width, factor)

    def weights(size: int) -> np.ndarray:
        centres = (np.arange(size // factor) + 0.5) * factor - 0.5
        weights = _cubic_kernel((np.arange(size)[None] - centres[:, None]) / factor)
        return weights / weights.sum(axis=1, keepdims=True)

    return Separable.from_matrices(weights(height), weights(width))


def gaussian_blur(height: int, width: int, deviation: float) -> Separable:
    """Images of their size, blurred by a Gaussian of ``deviation`` pixels.

    The kernel ends at 4 deviations, rounded to whole pixels, and sums to one. Beyond its borders an
    image goes on as its reflection, the border's pixels twice: ``c b a | a b c``.

    Raises:
      ValueError: unless ``deviation`` is positive.
    """
    if not 0 < deviation < math.inf:
        raise ValueError(f"`deviation` must be positive, in pixels: got deviation={deviation}.")
    radius = int(4 * deviation + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / deviation) ** 2)
    kernel /= kernel.sum()

    def weights(size: int) -> np.ndarray:
        places = (np.arange(size)[:, None] + offsets[None]) % (2 * size)
        sources = np.minimum(places, 2 * size - 1 - places)
        weights = np.zeros((size, size))
        np.add.at(weights, (np.arange(size)[:, None], sources), kernel[None])
        return weights

    return Separable.from_matrices(weights(height), weights(width))


def _multiply(rows: Array, x: Array, columns: Array) -> Array:
    """``rows x columns^T`` for each channel."""
    precision = jax.lax.Precision.HIGHEST
    x = jnp.einsum("ih,bhwc->biwc", rows, x, precision=precision)
    return jnp.einsum("jw,biwc->bijc", columns, x, precision=precision)


def _cubic_kernel(distance: np.ndarray) -> np.ndarray:
    distance = np.abs(distance)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


def _check_factor(height: int, width: int, factor: int) -> None:
    if factor < 1 or height % factor or width % factor:
        raise ValueError(
            f"`factor` must be at least 1 and divide height and width of {height}x{width} images: "
            f"got factor={factor}."
        )
