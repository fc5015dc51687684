"""Reads the user's images in the coordinates of a run's model."""

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.arrays import Array, Float
from sde_jax.data import TEST, BrokenImageError, StoredImages
from sde_jax.data.encoded_records import attempt, dimensions
from sde_jax.data.picture_files import open_files
from sde_jax.data.preprocessing import Preprocessing, stored_size
from sde_jax.data.scaling import ImageScaling
from sde_jax.numpy_files import Arrays, ArraysError
from sde_jax.reporting import report
from sde_jax.runs.trained_run import ScoreRun

Images = Float[Array, "count height width channels"]

SHOWN = 4
"""Number of arrays that a message names."""


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

    Pictures are preprocessed as the run's data are, unless they are as small as the result and
    smaller than `crop_size`; arrays must have the shape.

    Raises:
      UsageError: if there are none that can be read, or an array is of another shape or range.
      DataNotFoundError: if there is nothing of that name.
    """
    if is_array(path):
        return image_scaling(run).from_unit(jnp.asarray(read_rows(path, shape), jnp.float32))
    data = run.experiment.data
    own = data.preprocessing(shape[-1]) if isinstance(data, StoredImages) else Preprocessing()
    side = shape[0] if shape[0] == shape[1] else None
    own = dataclasses.replace(own, image_size=side, channels=shape[-1])

    def decode(encoded: bytes) -> np.ndarray:
        size = stored_size(encoded)
        whole = size == shape[:2] and min(size) < (own.crop_size or 0)
        image = (dataclasses.replace(own, crop_size=None) if whole else own).decode(encoded)
        if image.shape != shape:
            raise ValueError(f"it must be {dimensions(shape)}: it is {dimensions(image.shape)}")
        return image

    images = np.stack(list(decoded(path, decode).values())) / np.float32(255)
    return image_scaling(run).from_unit(jnp.asarray(images))


def is_array(path: Path) -> bool:
    """Returns whether a file is named as one of arrays."""
    return path.suffix.lower() in (".npy", ".npz")


def picture_names(path: Path) -> list[str]:
    """Returns the names of the pictures in a folder or a zip, without suffix; none for files."""
    if is_array(path) or _is_picture(path):
        return []
    return [str(PurePosixPath(name).with_suffix("")) for name in open_files(path).pictures]


def decoded(path: Path, decode: Callable[[bytes], np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a picture, or all of a folder or a zip, decoded and by name.

    Raises:
      UsageError: if one cannot be decoded.
      DataNotFoundError: if there is none.
    """
    read: Callable[[Any], bytes] = Path.read_bytes
    names: dict[str, Any] = {str(path): path}
    if not _is_picture(path):
        files = open_files(path)
        for remark in files.remarks:
            report(remark)
        read, names = files.read, {f"{path}/{name}": name for name in files.pictures}
    images = {}
    for name, where in names.items():
        image = attempt(lambda where: decode(read(where)), where, name)
        if isinstance(image, BrokenImageError):
            raise UsageError(f"{image}: leave this picture out, or replace it.")
        images[name] = image
    return images


def read_rows(path: Path, shape: tuple[int, ...]) -> Float[np.ndarray, "count *shape"]:
    """Returns the examples of ``shape`` in a file with one array of them, with values in [0, 1].

    The last axis may be missing where it has length 1.

    Raises:
      UsageError: if there are none, or values of another kind.
    """
    try:
        with Arrays(path) as file:
            arrays = {name: _shaped(array, shape) for name, array in file.items()}
    except ArraysError as error:
        raise UsageError(f"{error}.") from None
    fitting = [name for name, array in arrays.items() if array.shape[-len(shape) :] == shape]
    if len(fitting) != 1:
        found = fitting or [str(array.shape) for array in arrays.values()] or ["nothing"]
        raise UsageError(
            f"{path} must hold one array of images of {dimensions(shape)}: it holds "
            f"{', '.join(found[:SHOWN])}."
        )
    rows = arrays[fitting[0]].reshape(-1, *shape)
    if not rows.size:
        raise UsageError(f"{path} holds no images: its shape is {rows.shape}.")
    if rows.dtype.kind not in "biuf":
        raise UsageError(f"{path} must hold numbers in [0, 1]: it holds {rows.dtype}.")
    if not ((rows >= 0) & (rows <= 1)).all():
        raise UsageError(
            f"{path} must hold values in [0, 1]: they are from {rows.min():.3g} to "
            f"{rows.max():.3g}."
        )
    return rows.astype(float)


def _shaped(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Adds the last axis where it is missing."""
    missing = shape[-1] == 1 and array.shape[-len(shape) :] != shape
    return array[..., None] if missing and array.shape[1 - len(shape) :] == shape[:-1] else array


def _is_picture(path: Path) -> bool:
    return path.is_file() and not zipfile.is_zipfile(path)
