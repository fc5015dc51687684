"""Similarity of restored images to their ground truth, per image."""

import numpy as np
from jax.typing import ArrayLike
from scipy.ndimage import gaussian_filter

WINDOW = 11
DEVIATION = 1.5
C1, C2 = 0.01**2, 0.03**2
"""``(K L)^2`` of the paper, with its K and the range L = 1."""


def psnr(images: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Returns the peak signal-to-noise ratio ``-10 log10(mean (image - truth)^2)``, in decibels.

    Args:
      images: ``[count, height, width, channels]``, in [0, 1]; the peak is 1.
      truth: the ground truth.

    Returns:
      ``[count]`` in float64; infinite for an image equal to its truth.

    Raises:
      ValueError: unless both are images of one shape.
    """
    x, y = _checked(images, truth)
    errors = ((x - y) ** 2).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return -10 * np.log10(errors)


def ssim(images: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Returns the structural similarity of each image, at most 1 (Wang et al. 2004, eq. 13).

    ::

        (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))

    with means m, variances s^2 and the covariance s_xy in a Gaussian window of deviation 1.5 and
    11x11 pixels, C1 = .01^2 and C2 = .03^2. It is averaged over channels and over all places where
    the whole window fits. Images with a side below 11 use the largest odd window that fits; their
    similarities are comparable only with one another.

    Args:
      images: ``[count, height, width, channels]``, in [0, 1].
      truth: the ground truth.

    Returns:
      ``[count]`` in float64.

    Raises:
      ValueError: unless both are images of one shape.
    """
    x, y = _checked(images, truth)
    height, width = x.shape[1:3]
    radius = min(WINDOW // 2, (height - 1) // 2, (width - 1) // 2)
    return np.array([_similarity(*pair, radius) for pair in zip(x, y, strict=True)])


def _checked(images: ArrayLike, truth: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x, y = (np.asarray(array, np.float64) for array in (images, truth))
    if x.shape != y.shape or x.ndim != 4 or not x.size:
        raise ValueError(
            "`images` and `truth` must be [count, height, width, channels], of one shape: got "
            f"{x.shape} and {y.shape}."
        )
    return x, y


def _similarity(x: np.ndarray, y: np.ndarray, radius: int) -> float:
    """Returns the similarity of two images ``[height, width, channels]``."""
    fits = tuple(slice(radius, length - radius) for length in x.shape[:2])

    def mean(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, DEVIATION, radius=radius, axes=(0, 1))[fits]

    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = mean(x**2) - mean_x**2, mean(y**2) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variance_x + variance_y + C2)
    return float((luminance * structure).mean())
