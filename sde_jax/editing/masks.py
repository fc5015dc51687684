"""Reads the user's masks, and pairs them with images."""

from pathlib import Path

import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.arrays import Float
from sde_jax.data.encoded_records import dimensions
from sde_jax.data.preprocessing import Preprocessing
from sde_jax.editing.images import decoded, is_array, picture_names, read_rows
from sde_jax.lines import listed
from sde_jax.reporting import report

Masks = Float[np.ndarray, "count height width 1"]

SHOWN = 4
"""Number of values, names or pairs that a message shows."""


def masks_for(path: Path, images: Path | None, count: int, shape: tuple[int, ...]) -> Masks:
    """Reads a mask for each of ``count`` images of ``shape``: one for all, or as many as images.

    Masks of a folder or a zip are paired with images of the same names, or else in order.

    Args:
      path: a picture, a folder or a zip of pictures, or an array. White, opaque or 1 is known.
      images: the file or folder of the images; None for images without names.
      count: number of images.
      shape: shape of an image.

    Raises:
      UsageError: if one cannot be read, has another size or asks nothing, or they cannot be paired.
    """
    masks = read_masks(path, shape[:2])
    if len(masks) not in (1, count):
        raise UsageError(
            f"--mask {path} must hold one mask, or one for each of {count} images: it holds "
            f"{len(masks)}."
        )
    order = list(range(len(masks)))
    named, names = picture_names(images) if images else [], picture_names(path)
    if named and names and len(masks) > 1:
        order = paired(path, named, names)
    return np.broadcast_to(masks[order], (count, *masks.shape[1:]))


def paired(path: Path, images: list[str], masks: list[str]) -> list[int]:
    """Returns the number of the mask of each image.

    Raises:
      UsageError: if only some images have a mask of their name.
    """
    places = {name: place for place, name in enumerate(masks)}
    missing = [image for image in images if image not in places]
    if len(places) == len(masks) and not missing:
        return [places[image] for image in images]
    if 0 < len(missing) < len(images):
        raise UsageError(
            f"--mask {path} must have a mask named as each image: there is none for {missing[0]}."
        )
    pairs = [f"{image} by {mask}" for image, mask in zip(images, masks, strict=True)]
    report(f"images are masked in order: {listed(pairs, separator=', ', limit=SHOWN)}")
    return list(range(len(masks)))


def read_masks(path: Path, size: tuple[int, ...]) -> Masks:
    """Reads masks of height and width ``size``: 1 where an image is known, 0 where it is not.

    Raises:
      UsageError: if one cannot be read, has another size, or asks nothing.
    """
    if is_array(path):
        rows = read_rows(path, (*size, 1))
        return np.stack([_binary(f"--mask {path}", mask, 1) for mask in rows])
    masks = []
    for name, levels in decoded(path, _levels).items():
        if levels.shape[:2] != size:
            raise UsageError(
                f"--mask {name} must be as large as the run's images, {dimensions(size)}: it is "
                f"{dimensions(levels.shape[:2])}."
            )
        masks.append(_binary(f"--mask {name}", levels, 255))
    return np.stack(masks)


def _levels(encoded: bytes) -> np.ndarray:
    """Decodes a mask: its alpha channel, if a pixel is transparent, or else its grey levels."""
    alpha = Preprocessing(channels=4).decode(encoded)[..., 3:]
    return alpha if alpha.min() < 128 else Preprocessing(channels=1).decode(encoded)


def _binary(name: str, mask: np.ndarray, most: int) -> np.ndarray:
    known = mask > most / 2
    if known.all() or not known.any():
        values = [f"{value:g}" for value in np.unique(mask)]
        found = ", ".join(values) if len(values) <= SHOWN else f"{values[0]} to {values[-1]}"
        raise UsageError(
            f"{name} must mark some pixels as known, above {most / 2:g} of {most}, and others as "
            f"unknown: its values are {found}."
        )
    return known.astype(np.float32)
