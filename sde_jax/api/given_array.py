"""Arrays that `fit` is given, as the data of a run."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.api.default_experiments import network_for
from sde_jax.atomic import whole_file
from sde_jax.data import (
    TRAIN,
    Conditions,
    DataSource,
    NumberFile,
    ScalingName,
    is_images,
    measurements_of,
    source_of_tables,
    table_of,
)
from sde_jax.data.conditions import check_conditions

HELD_OUT_SHARE, MOST_HELD_OUT = 0.1, 10_000
LEAST_IMAGES = 20


@dataclasses.dataclass(frozen=True)
class GivenArray:
    """Examples, perhaps with conditions: their spec, and their source."""

    spec: NumberFile
    """Describes the files in the run directory."""
    source: DataSource
    """The examples, from memory."""
    arrays: Mapping[Path, np.ndarray]
    """The content of the files."""

    def is_data_of(self, experiment: Any) -> bool:
        """Returns whether an experiment has these data, wherever they lie and are kept."""
        theirs = experiment.data
        return isinstance(theirs, NumberFile) and all(
            getattr(theirs, name) == getattr(self.spec, name) for name in ("sha256", "scaling")
        )

    def write(self) -> None:
        """Writes the files that are not there."""
        for path, array in self.arrays.items():
            if not path.is_file():
                with whole_file(path) as file:
                    np.save(file, array)


def given_array(
    data: np.ndarray, condition: np.ndarray | None, workdir: Path, scaling: ScalingName
) -> GivenArray:
    """Checks an array and its conditions, and describes them as the data of the run in ``workdir``.

    Raises:
      ValueError: if they cannot be trained on; the message says why.
    """
    table = table_of(data, "`data`")
    network_for(table.values.shape[1:], len(data))
    if is_images(data) and len(data) < LEAST_IMAGES:
        raise ValueError(f"`data` must be at least {LEAST_IMAGES} images: got {len(data)}.")
    paths = [(workdir / name).resolve() for name in ("data.npy", "condition.npy")]
    arrays, conditions = {paths[0]: data}, None
    if condition is not None:
        conditions = conditions_of(condition)
        check_conditions(conditions, {TRAIN: table})
        arrays[paths[1]] = conditions.tables[TRAIN].values
    held_out = min(HELD_OUT_SHARE, MOST_HELD_OUT / max(len(data), 1))
    measured = measurements_of({TRAIN: table}, scaling, held_out, conditions)
    spec = NumberFile(
        path=str(paths[0]),
        condition_path=None if condition is None else str(paths[1]),
        condition_labels=conditions is not None and conditions.labels,
        scaling=scaling,
        held_out=held_out,
        measured=measured,
        sha256=digest(*arrays.values()),
    )
    source = source_of_tables({TRAIN: table}, measured, conditions, held_out=held_out)
    return GivenArray(spec, source, arrays)


def conditions_of(condition: np.ndarray) -> Conditions:
    """Returns vectors ``[count, size]``, or class labels ``[count]`` of integers.

    Raises:
      ValueError: if they are neither.
    """
    if condition.ndim == 1 and condition.dtype.kind in "iub":
        return Conditions({TRAIN: table_of(condition[:, None], "`condition`")}, labels=True)
    if condition.ndim != 2:
        raise ValueError(
            "`condition` must be vectors [count, numbers], or class labels [count] of integers: it "
            f"is {condition.dtype} {list(condition.shape)}. `condition[:, None]` makes vectors of "
            "one number."
        )
    return Conditions({TRAIN: table_of(condition, "`condition`")}, labels=False)


def digest(*arrays: np.ndarray) -> str:
    """Returns the SHA-256 of arrays with their types and shapes."""
    hashed = hashlib.sha256()
    for array in arrays:
        hashed.update(repr((str(array.dtype), array.shape)).encode())
        hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()
