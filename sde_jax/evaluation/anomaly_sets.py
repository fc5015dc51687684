"""Images from outside a data set, with its size, channels and grey levels."""

import numpy as np
import PIL.Image

from sde_jax.arguments import UsageError
from sde_jax.data import TEST, BrokenImageError, ImageScaling, Preprocessing
from sde_jax.data.named import all_records, spec_of
from sde_jax.evaluation.anomaly_names import NOISE, PHOTOGRAPHS

Shape = tuple[int, ...]
"""Height, width and channels."""


def levels_of(
    against: str, data_dir: str | None, shape: Shape, scaling: ImageScaling, count: int, seed: int
) -> np.ndarray:
    """Returns up to ``count`` images of the set ``against``, as uint8 levels of ``scaling``.

    Raises:
      UsageError: if there is no such set, or its images cannot be converted to ``shape``.
    """
    rng = np.random.default_rng(seed)
    if against == NOISE:
        return rng.integers(0, scaling.levels, (count, *shape), np.uint8)
    if against == PHOTOGRAPHS:
        images = crops(shape, count, rng)
    else:
        images = stored(against, data_dir, shape, count)
    return (images.astype(np.uint16) * scaling.levels // 256).astype(np.uint8)


def crops(shape: Shape, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns random crops of the two photographs of scikit-learn, in turn.

    Raises:
      UsageError: if the photographs are too small.
    """
    from sklearn.datasets import load_sample_images

    height, width, channels = shape
    convert = Preprocessing(channels=channels)
    photographs = [convert(PIL.Image.fromarray(image)) for image in load_sample_images().images]
    rows, columns = photographs[0].shape[:2]
    if height > rows or width > columns:
        raise UsageError(
            f"the photographs have {rows}x{columns} pixels, too few for images of "
            f"{height}x{width}: name --against {NOISE}, or a set of your own."
        )
    tops = rng.integers(0, rows - height, count, endpoint=True)
    lefts = rng.integers(0, columns - width, count, endpoint=True)
    return np.stack(
        [
            photographs[i % len(photographs)][top : top + height, left : left + width]
            for i, (top, left) in enumerate(zip(tops, lefts, strict=True))
        ]
    )


def stored(source: str, data_dir: str | None, shape: Shape, count: int) -> np.ndarray:
    """Returns images of a folder, a zip or a prepared set, without broken ones. They are evenly
    spread over the split ``test``, or over the first split if there is no such split.

    Raises:
      UsageError: if the set does not exist, no image can be read, or the channels differ.
    """
    height, width, channels = shape
    if height != width:
        raise UsageError(f"images of a set are made square: those of the run are {height}x{width}.")
    fields = {"image_size": height, "fit": "crop", "grey": channels == 1}
    splits = all_records(spec_of(source, data_dir, fields))
    records = splits.get(TEST, next(iter(splits.values())))
    indices = np.linspace(0, len(records) - 1, min(count, len(records))).round().astype(int)
    read = records.read(indices.tolist())
    whole = [image for image in read if not isinstance(image, BrokenImageError)]
    if not whole:
        raise UsageError(f"no image of {source} can be read: {read[0]}.")
    images = np.stack(whole)
    if images.shape[3] not in (1, channels):
        raise UsageError(
            f"images of {source} have {images.shape[3]} channels: those of the run have {channels}."
        )
    return np.broadcast_to(images, (len(images), *shape))
