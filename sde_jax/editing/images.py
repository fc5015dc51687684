"""Reads the user's images and masks in the coordinates of a run's model."""

import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image

from sde_jax.arguments import UsageError
from sde_jax.arrays import Array, Float
from sde_jax.data import TEST
from sde_jax.data.picture_files import open_files
from sde_jax.data.preprocessing import Preprocessing
from sde_jax.data.scaling import ImageScaling
from sde_jax.runs.trained_run import ScoreRun

Images = Float[Array, "count height width channels"]


def image_scaling(run: ScoreRun) -> ImageScaling:
    """Returns the scaling of the run's images.

    Raises:
      UsageError: if its data are no images.
    """
    if not isinstance(run.layout.scaling, ImageScaling):
        raise UsageError(f"edit takes the run of images: {run.directory.path} is of points.")
    return run.layout.scaling


def held_out(run: ScoreRun, count: int) -> Images:
    """Returns the first images of the run's own test split in model coordinates."""
    batch = next(run.source.batches(jax.random.key(0), TEST, count, count=count))
    scaling = image_scaling(run)
    return scaling.from_unit(scaling.to_unit(batch.x))


def read_images(path: Path, run: ScoreRun, shape: tuple[int, ...]) -> Images:
    """Reads images of ``shape`` in model coordinates: a picture, a folder or a zip of pictures, or
    an array in [0, 1] such as `sample` writes.

    Pictures are fitted to the shape as the run's data are; arrays must have it.

    Raises:
      UsageError: if there are none that can be read, or an array is of another shape or range.
      DataNotFoundError: if there is nothing of that name.
    """
    if path.suffix in (".npy", ".npz"):
        return image_scaling(run).from_unit(jnp.asarray(_array(path, shape), jnp.float32))
    preprocessing = Preprocessing(
        image_size=shape[0],
        fit=getattr(run.experiment.data, "fit", "crop"),
        channels=shape[-1],
    )
    images = np.stack([_decoded(name, content, preprocessing) for name, content in _files(path)])
    return image_scaling(run).from_unit(jnp.asarray(images, jnp.float32) / 255)


def read_mask(path: Path, shape: tuple[int, ...]) -> Float[np.ndarray, "height width 1"]:
    """Reads a mask: a picture, white where an image is known, or an array of 1 there and 0
    elsewhere.

    Raises:
      UsageError: if it cannot be read, or is not as large as the run's images.
    """
    height, width = shape[:2]
    if path.suffix in (".npy", ".npz"):
        mask = _array(path, (height, width, 1))[0]
    else:
        [(name, content)] = list(_files(path))[:1]
        mask = _decoded(name, content, Preprocessing(channels=1)) / 255
    if mask.shape[:2] != (height, width):
        raise UsageError(
            f"--mask {path} must be as large as the run's images, {height}x{width}: it is "
            f"{mask.shape[0]}x{mask.shape[1]}."
        )
    return np.asarray(mask > 0.5, np.float32)


def _files(path: Path) -> list[tuple[str, bytes]]:
    """Returns names and contents of a picture, or of all in a folder or a zip."""
    if path.is_file() and not zipfile.is_zipfile(path):
        return [(str(path), path.read_bytes())]
    files = open_files(path)
    return [(f"{path}/{name}", files.read(name)) for name in files.pictures]


def _decoded(name: str, content: bytes, preprocessing: Preprocessing) -> np.ndarray:
    try:
        return preprocessing.decode(content)
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise UsageError(f"{name} cannot be read as a picture: {error}.") from None


def _array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Reads an array of one or more examples with values in [0, 1]."""
    try:
        loaded = np.load(path, allow_pickle=False)
        array = np.asarray(loaded[loaded.files[0]] if path.suffix == ".npz" else loaded, float)
    except (OSError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be read as an array: {error}.") from None
    if array.shape[-len(shape) :] != shape:
        raise UsageError(
            f"{path} must hold images of {'x'.join(map(str, shape))}: its shape is {array.shape}."
        )
    if not ((array >= 0) & (array <= 1)).all():
        raise UsageError(
            f"{path} must hold values in [0, 1]: they are from {array.min():.3g} to "
            f"{array.max():.3g}."
        )
    return array.reshape(-1, *shape)
