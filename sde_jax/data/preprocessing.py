"""What is done to images before they become a data source."""

import numpy as np

__all__ = ["pad_to_square"]


def pad_to_square(images: np.ndarray, size: int) -> np.ndarray:
    """Images ``[count, height, width, channels]`` centred on zeros in ``size x size`` pixels.

    Where the margin is odd, the right and the lower one are a pixel wider.

    Raises:
      ValueError: if the images are larger than ``size``.
    """
    margins = [size - length for length in images.shape[1:3]]
    if min(margins) < 0:
        height, width = images.shape[1:3]
        raise ValueError(f"`size` must hold images of {height}x{width}: got {size}")
    around = [(margin // 2, margin - margin // 2) for margin in margins]
    return np.pad(images, [(0, 0), *around, (0, 0)])
