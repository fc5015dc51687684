"""Circular convolution of images."""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Image, pytree
from sde_jax.operators.images import check_size
from sde_jax.operators.protocol import Variance
from sde_jax.operators.spectrum import solve_diagonal


@pytree
@dataclass(frozen=True)
class Convolution:
    """The circular convolution ``y(p) = sum_q kernel(q) x(p - q)`` of each channel.

    ``A A^T`` is diagonal in the Fourier basis; its eigenvalues are the power spectrum of the
    kernel. Without noise, modes up to the `CUTOFF` are treated as unmeasured.

    Raises:
      ValueError: when called, if images have another size.
    """

    kernel: Float[Array, "height width"]
    """Kernel of the size of the images, with its centre at pixel (0, 0) and periodic
    continuation."""

    @staticmethod
    def from_kernel(kernel: Float[Array, "rows columns"], height: int, width: int) -> "Convolution":
        """Builds the convolution for images of this size, from a kernel no larger than them.

        The kernel is centred at its pixel ``(rows // 2, columns // 2)``.

        Raises:
          ValueError: if the kernel is not a matrix, or is larger than the images.
        """
        kernel = jnp.asarray(kernel, jnp.float32)
        if kernel.ndim != 2 or kernel.shape[0] > height or kernel.shape[1] > width:
            raise ValueError(
                f"`kernel` must be a matrix not larger than the {height}x{width} images: got shape "
                f"{kernel.shape}."
            )
        rows, columns = kernel.shape
        padded = jnp.pad(kernel, ((0, height - rows), (0, width - columns)))
        return Convolution(jnp.roll(padded, (-(rows // 2), -(columns // 2)), axis=(0, 1)))

    def __call__(self, x: Image) -> Image:
        """Convolves ``x``."""
        return self._to_images(self._spectrum() * self._to_modes(x))

    def adjoint(self, y: Image) -> Image:
        """Convolves ``y`` with the point-reflected kernel."""
        return self._to_images(jnp.conj(self._spectrum()) * self._to_modes(y))

    def solve(self, y: Image, variance: Variance, noise_variance: Variance) -> Image:
        """Returns ``(variance A A^T + noise_variance I)^+ y``, by division of each mode."""
        spectrum = self._spectrum()
        power = spectrum.real**2 + spectrum.imag**2
        return self._to_images(solve_diagonal(self._to_modes(y), power, variance, noise_variance))

    def _spectrum(self) -> Array:
        return jnp.fft.rfft2(self.kernel)[None, None]

    def _to_modes(self, images: Image) -> Array:
        """Returns the modes of each channel, ``[batch, channels, height, width // 2 + 1]``."""
        check_size(images, *self.kernel.shape)
        return jnp.fft.rfft2(images.transpose(0, 3, 1, 2))

    def _to_images(self, modes: Array) -> Image:
        return jnp.fft.irfft2(modes, s=self.kernel.shape).transpose(0, 2, 3, 1)


def motion_blur(height: int, width: int, length: float, angle: float) -> Convolution:
    """Builds the blur of a camera that moves by ``length`` pixels at ``angle`` degrees.

    The kernel is a straight line through the middle of its centre pixel. An angle of 0 is along a
    row; angles increase counterclockwise. The weight of a pixel is the length of the line within
    it; weights sum to one.

    Raises:
      ValueError: unless ``length`` is at least 1 and the line fits in the image.
    """
    most = 2 * (height + width)
    if not 1 <= length <= most:
        raise ValueError(
            f"`length` must be at least 1, in pixels, and at most {most} for {height}x{width} "
            f"images: got length={length}."
        )
    kernel = _line(length, math.radians(angle))
    if kernel.shape[0] > height or kernel.shape[1] > width:
        raise ValueError(
            f"`length` must let the line fit in {height}x{width} images: got length={length}, "
            f"which at {angle} degrees needs {kernel.shape[0]}x{kernel.shape[1]} pixels."
        )
    return Convolution.from_kernel(jnp.asarray(kernel, jnp.float32), height, width)


def _line(length: float, angle: float) -> np.ndarray:
    """Returns the share of a centred line segment that lies in each pixel of a grid."""
    enter, leave = [], []
    for slope in (-math.sin(angle), math.cos(angle)):
        radius = math.ceil(0.5 * length * abs(slope) - 0.5)
        borders = (np.arange(-radius, radius + 2) - 0.5) / (slope or 1e-9)
        enter.append(np.minimum(borders[:-1], borders[1:]))
        leave.append(np.maximum(borders[:-1], borders[1:]))
    start = np.maximum(enter[0][:, None], enter[1][None]).clip(min=-0.5 * length)
    end = np.minimum(leave[0][:, None], leave[1][None]).clip(max=0.5 * length)
    within = (end - start).clip(min=0.0)
    return within / within.sum()
