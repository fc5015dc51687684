"""Size checks of image operators."""

from sde_jax.arrays import Image


def check_size(images: Image, height: int, width: int) -> None:
    """Checks that images have the operator's height and width.

    Raises:
      ValueError: if they do not.
    """
    if images.ndim != 4 or images.shape[1:3] != (height, width):
        raise ValueError(
            f"images must be [batch, {height}, {width}, channels] for this operator: got shape "
            f"{images.shape}. Make the operator for the size of the images."
        )
