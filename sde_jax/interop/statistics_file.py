"""Reads statistics of data sets: ours, score_sde's features, EDM's mean and covariance."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from sde_jax.atomic import whole_file
from sde_jax.json_files import parse_json
from sde_jax.metrics.frechet import FittedGaussian, fit_gaussian
from sde_jax.metrics.moments import Moments, StreamingMoments
from sde_jax.numpy_files import Arrays, ArraysError

KEPT = 10_000
"""Number of examples whose features and logits are stored."""

PIECE = 4096
"""Rows of published features that are added at a time."""

DAMAGE = (AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)
"""Errors of arrays that are no statistics."""

Identity: TypeAlias = Mapping[str, str | int | float | None]
"""What statistics depend on, by name: data, features, preprocessing, split and counts."""


class StatisticsFileError(ValueError):
    """A file contains no statistics, or other ones; the message is one line."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The statistics of a data set under a feature network that metrics need."""

    identity: Identity
    """Everything the statistics depend on: data, split, shape, count, feature network."""
    gaussian: FittedGaussian
    """Mean and covariance of all examples."""
    features: np.ndarray | None
    """Features of the first `KEPT` examples in float32; None if the file lacks them."""
    logits: np.ndarray | None
    """Logits of the same examples, if the network classifies."""
    labels: np.ndarray | None
    """The classes of all examples, if they have any."""


def write_reference(path: str | PathLike[str], reference: Reference) -> None:
    """Writes an .npz file of statistics atomically.

    It also contains ``mu`` and ``sigma`` for EDM and pytorch-fid, which `read_reference` ignores.
    """
    groups, dimension = reference.gaussian.groups, len(reference.gaussian.mean)
    upper = np.triu_indices(dimension)
    arrays = {
        "counts": np.array([group.count for group in groups]),
        "means": np.stack([group.mean for group in groups]),
        "scatters": np.stack([group.scatter[upper] for group in groups]),
        "features": reference.features,
        "logits": reference.logits,
        "labels": reference.labels,
        "mu": reference.gaussian.mean,
        "sigma": reference.gaussian.covariance,
    }
    known: dict[str, Any] = {name: x for name, x in arrays.items() if x is not None}
    about = {"identity": dict(reference.identity), "arrays": list(known)}
    with whole_file(Path(path)) as file:
        np.savez(file, about=np.array(json.dumps(about)), **known)


def read_reference(path: str | PathLike[str]) -> Reference:
    """Returns statistics of `write_reference`, or published ones, without executing the file.

    Published .npz files contain the features ``pool_3`` ``[count, dimension]`` of Inception and
    optionally ``logits`` (score_sde), or the features' mean ``mu`` and covariance ``sigma`` (EDM
    and pytorch-fid).

    Raises:
      StatisticsFileError: if the file is damaged or has another format.
      OSError: if the file does not exist.
    """
    try:
        with Arrays(path) as file:
            if "about" in file or "scatters" in file:
                return _own(file)
            if "pool_3" in file:
                return _features(file, _published(path, "score_sde"))
            if "mu" in file and "sigma" in file:
                return _gaussian(file, _published(path, "EDM"))
            found = ", ".join(filter(None, file)) or "nothing"
    except ArraysError as error:
        raise StatisticsFileError(str(error)) from error
    except (
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise StatisticsFileError(f"{path}: these are no statistics: {error}") from error
    raise StatisticsFileError(
        f"{path}: these are no statistics: there are neither `about` nor `pool_3` nor `mu` and "
        f"`sigma`, but {found}"
    )


def _own(file: Mapping[str, np.ndarray]) -> Reference:
    about = parse_json(str(file["about"]))
    arrays = {name: file[name] for name in about["arrays"]}
    means = arrays["means"]
    groups = [
        Moments(int(count), mean, _symmetric(scatter, len(mean)))
        for count, mean, scatter in zip(arrays["counts"], means, arrays["scatters"], strict=True)
    ]
    rows = (arrays.get(name) for name in ("features", "logits", "labels"))
    return Reference(about["identity"], fit_gaussian(*groups), *rows)


def _features(file: Mapping[str, np.ndarray], identity: dict[str, str | int]) -> Reference:
    rows = file["pool_3"]
    if rows.ndim != 2:
        raise ValueError(f"`pool_3` must be [count, dimension]: got shape {rows.shape}")
    stream = StreamingMoments(rows.shape[1])
    for first in range(0, len(rows), PIECE):
        stream.add(rows[first : first + PIECE])
    logits = file.get("logits")
    if logits is not None and (logits.ndim != 2 or len(logits) != len(rows)):
        raise ValueError(f"`logits` must have the {len(rows)} rows of `pool_3`: got {logits.shape}")
    return Reference(
        {**identity, "count": len(rows), "features.dimension": rows.shape[1]},
        fit_gaussian(*stream.result()),
        rows[:KEPT].astype(np.float32),
        None if logits is None else logits[:KEPT].astype(np.float32),
        None,
    )


def _gaussian(file: Mapping[str, np.ndarray], identity: dict[str, str | int]) -> Reference:
    mean, covariance = (np.asarray(file[name], np.float64) for name in ("mu", "sigma"))
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(
            "`mu` and `sigma` must be a mean and a covariance: got shapes "
            f"{mean.shape} and {covariance.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError("`mu` and `sigma` must be finite: they are not")
    identity["features.dimension"] = len(mean)
    return Reference(identity, FittedGaussian(mean, covariance), None, None, None)


def _published(path: str | PathLike[str], format_: str) -> dict[str, str | int]:
    """Returns format and hash of a file as its identity: published statistics have no other."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"published": format_, "file": digest, "features": "inception"}


def _symmetric(upper: np.ndarray, dimension: int) -> np.ndarray:
    """Returns the symmetric matrix with this upper triangle, given row by row."""
    if len(upper) != dimension * (dimension + 1) // 2:
        raise ValueError(f"`scatters` must be triangles of {dimension} rows: got {upper.shape}")
    matrix = np.zeros((dimension, dimension))
    rows, columns = np.triu_indices(dimension)
    matrix[rows, columns] = upper
    matrix[columns, rows] = upper
    return matrix
