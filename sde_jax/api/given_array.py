"""An array that `fit` is given, as the data of a run."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.api.default_experiments import network_for
from sde_jax.atomic import whole_file
from sde_jax.data import (
    TRAIN,
    ArrayFile,
    ArraySource,
    DataSource,
    NumberFile,
    ScalingName,
    held_out_splits,
    measurements_of,
    source_of_tables,
    table_of,
)
from sde_jax.data.array_file import HELD_OUT_SHARE, MOST_HELD_OUT

LEAST_IMAGES = 20


@dataclasses.dataclass(frozen=True)
class GivenArray:
    """An array, its spec, and its source."""

    spec: ArrayFile | NumberFile
    """Describes the file in the run directory."""
    source: DataSource
    """The examples, from memory."""
    write: Callable[[], None]
    """Writes the file."""

    def is_data_of(self, experiment: Any) -> bool:
        """Returns whether an experiment has these data, wherever they lie and are kept."""
        ours, theirs = self.spec, experiment.data
        names = [field.name for field in dataclasses.fields(ours)]
        return type(theirs) is type(ours) and all(
            getattr(theirs, name) == getattr(ours, name)
            for name in names
            if name not in ("path", "keep")
        )


def given_array(data: np.ndarray, workdir: Path, scaling: ScalingName) -> GivenArray:
    """Checks an array and describes it as the data of the run in ``workdir``.

    Raises:
      ValueError: if it cannot be trained on; the message says why.
    """
    if data.dtype == np.uint8 and data.ndim == 4 and data.shape[-1] in (1, 3):
        check_images(data)
        splits = held_out_splits(data)
        file = ArrayFile.of(splits, workdir / "data.npz")
        return GivenArray(file, ArraySource(splits), lambda: file.write(splits))
    table = table_of(data, "`data`")
    network_for(table.values.shape[1:], len(data))
    held_out = min(HELD_OUT_SHARE, MOST_HELD_OUT / max(len(data), 1))
    measured = measurements_of({TRAIN: table}, scaling, held_out)
    path = (workdir / "data.npy").resolve()
    spec = NumberFile(path=str(path), scaling=scaling, held_out=held_out, measured=measured)
    source = source_of_tables({TRAIN: table}, measured, held_out=held_out)

    def write() -> None:
        with whole_file(path) as file:
            np.save(file, data)

    return GivenArray(spec, source, write)


def check_images(images: np.ndarray) -> None:
    """Raises ValueError where `fit` cannot work with the images."""
    network_for(images.shape[1:], len(images))
    if len(images) < LEAST_IMAGES:
        raise ValueError(f"`data` must be at least {LEAST_IMAGES} images: got {len(images)}.")
