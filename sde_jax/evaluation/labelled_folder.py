"""Images as PNG files in a folder for each label."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import PIL.Image

from sde_jax.atomic import whole_file
from sde_jax.runs.levels import eight_bit

LISTING = "dataset.json"
"""A list of all files and labels in the format of EDM."""


def check_folder(folder: Path, shape: tuple[int, ...]) -> None:
    """Checks that a folder is new or empty, and that the data are images.

    Raises:
      ValueError: if it is not, or they are not.
    """
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise ValueError(f"a labelled folder takes images: these data have the shape {shape}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists already: name a new or empty folder.")


def write_labelled(
    folder: Path, images: Iterable[tuple[int, np.ndarray]], labels: np.ndarray, classes: int
) -> dict[str, int]:
    """Writes each image to LABEL/NUMBER.png in 8 bits, and all labels to a listing.

    Args:
      folder: a folder that `check_folder` accepts; it is created if needed.
      images: numbers and images in [0, 1], ``[height, width, 1 or 3]``.
      labels: the label of each image.
      classes: number of labels; the names of all folders have equal length.

    Returns:
      The number of images of each label.

    Raises:
      OSError: if a file cannot be written.
    """
    width = len(str(classes - 1))
    listing: list[tuple[str, int]] = []
    counts: dict[str, int] = {}
    for (number, image), label in zip(images, labels.tolist(), strict=True):
        name = f"{label:0{width}}"
        path = folder / name / f"{number:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = eight_bit(image)
        PIL.Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)
        listing.append((f"{name}/{path.name}", label))
        counts[name] = counts.get(name, 0) + 1
    with whole_file(folder / LISTING) as file:
        file.write(json.dumps({"labels": listing}).encode())
    return dict(sorted(counts.items()))
