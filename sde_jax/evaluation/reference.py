"""Statistics of a split under a feature network, from the cache, a file, or the data."""

import fcntl
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sde_jax.cache_folder import cache_folder
from sde_jax.data import ENDLESS, DataSource, DataSpec, check_request
from sde_jax.evaluation.examples import examples_sha256, read_examples
from sde_jax.evaluation.features import Extracted, FeatureNetwork, extract_batches, in_batches
from sde_jax.interop import (
    KEPT,
    Identity,
    Reference,
    StatisticsFileError,
    read_reference,
    write_reference,
)
from sde_jax.metrics import FittedGaussian, StreamingMoments, fit_gaussian
from sde_jax.recipes.serialization import to_config
from sde_jax.reporting import report
from sde_jax.training import first_error, is_first, raise_on_all

NOT_OF_THE_IMAGES = frozenset(
    {"type", "storage", "data_dir", "path", "flip", "dequantize", "centered"}
)
"""Fields of data that say where they are stored, or how training transforms them."""

HASHED = 256
"""Number of stored images whose levels are hashed; a fingerprint distinguishes their files."""


def compute_reference(
    network: FeatureNetwork,
    data: DataSpec,
    split: str,
    *,
    count: int | None = None,
    source: DataSource | None = None,
    batch_size: int = 256,
) -> Reference:
    """Returns the statistics of the first ``count`` examples (None: all) of a split, and caches
    them.

    Every process must call this function. All processes return the same, and the first one writes.

    Args:
      network: the feature network.
      data: the data.
      split: train or test.
      count: the largest number of examples.
      source: ``data``, if they are already loaded.
      batch_size: number of examples in a batch, about.

    Raises:
      ValueError: if there is no such split, ``count`` is None for an endless split, or there are
        fewer than two examples.
    """
    source = data.load() if source is None else source
    used = examples_used(source, split, count)
    identity = identity_of(network, data, source, split, used)
    path = cached_statistics(identity, data, split)
    found = _cached(path, identity)
    if first_error(None if found else "there are none") is None and found is not None:
        return found
    labels: list[np.ndarray] = []

    def batches() -> Iterator[np.ndarray]:
        for part in read_examples(source, split, count=used, batch_size=batch_size):
            if part.labels is not None:
                labels.append(part.labels)
            yield part.data

    extracted = extract_batches(network, batches(), batch_size, total=used)
    gathered = gather(extracted, network.dimension)
    computed = Reference(identity, *gathered, np.concatenate(labels) if labels else None)
    raise_on_all(lambda: _cache(path, computed) if is_first() else None)
    return computed


def read_statistics(
    path: Path,
    network: FeatureNetwork,
    data: DataSpec,
    split: str,
    *,
    count: int | None = None,
    source: DataSource | None = None,
) -> Reference:
    """Reads the statistics of a file, which must be those that `compute_reference` would compute.

    Of published statistics (of score_sde and EDM) only the dimension of the features is checked.

    Raises:
      StatisticsFileError: if they are other statistics, or as `read_reference`.
      OSError: if the file does not exist.
    """
    found = read_reference(path)
    if "published" in found.identity:
        expected: Identity = {"features": network.name, "features.dimension": network.dimension}
    else:
        source = data.load() if source is None else source
        used = examples_used(source, split, count)
        expected = identity_of(network, data, source, split, used)
    check_identity(path, found.identity, expected)
    return found


def check_identity(path: Path, found: Identity, expected: Identity) -> None:
    """Raises StatisticsFileError that names the first field that differs."""
    for field, value in expected.items():
        if found.get(field) != value:
            raise StatisticsFileError(
                f"{path}: these are other statistics: `{field}` must be {value}: "
                f"got {found.get(field)}"
            )


def examples_used(source: DataSource, split: str, count: int | None) -> int:
    """Returns the number of examples of a split, ``count`` at most (None: all).

    Raises:
      ValueError: as `compute_reference`.
    """
    size = check_request(source.sizes, split, 1)
    if count is None and size == ENDLESS:
        raise ValueError(f"`count` must be stated: split {split!r} is endless")
    used = size if count is None else min(count, size)
    if used < 2:
        raise ValueError(f"`count` must be at least 2, for a covariance: got {used}")
    return used


def identity_of(
    network: FeatureNetwork, data: DataSpec, source: DataSource, split: str, count: int
) -> Identity:
    """Returns everything that the statistics of the first ``count`` examples depend on, by field.

    The location of the data is left out.
    """
    hashed = min(count, HASHED) if data.fingerprint(split) else count
    return {
        "data": type(data).__name__,
        "shape": "x".join(map(str, source.shape)),
        "split": getattr(data, f"{split}_split", split),
        **_deciding_fields(data),
        "count": count,
        "examples": examples_sha256(source, split, hashed),
        "features": network.name,
        **{f"features.{name}": value for name, value in network.identity.items()},
        "features.dimension": network.dimension,
    }


def cached_statistics(identity: Identity, data: DataSpec, split: str) -> Path:
    """Returns the path of statistics in the cache; it depends on the files of stored images."""
    text = json.dumps([dict(identity), data.fingerprint(split)])
    name = f"{identity['data']}-{split}-{identity['features']}".lower()
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return cache_folder() / "statistics" / f"{name}-{digest}.npz"


class Gathered(NamedTuple):
    """Statistics of features that came in batches, as in `Reference`."""

    gaussian: FittedGaussian
    features: np.ndarray
    logits: np.ndarray | None


def gather(batches: Iterable[Extracted], dimension: int) -> Gathered:
    """Returns the moments of all rows, and the first rows. Every process has all batches."""
    stream = StreamingMoments(dimension)
    features: list[np.ndarray] = []
    logits: list[np.ndarray] = []
    room = KEPT
    for batch in batches:
        if is_first():
            stream.add(batch.features)
        features.append(np.array(batch.features[:room], np.float32))
        if batch.logits is not None:
            logits.append(np.array(batch.logits[:room], np.float32))
        room -= len(features[-1])
    kept_logits = np.concatenate(logits) if logits else None
    return Gathered(fit_gaussian(*stream.result()), np.concatenate(features), kept_logits)


def describe(network: FeatureNetwork, data: np.ndarray, batch_size: int = 256) -> Gathered:
    """Returns the statistics of samples in their own unit."""
    batches = in_batches(data, batch_size)
    extracted = extract_batches(network, batches, batch_size, total=len(data))
    return gather(extracted, network.dimension)


def _cache(path: Path, computed: Reference) -> None:
    """Writes the statistics under a lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_reference(path, computed)


def _cached(path: Path, identity: Identity) -> Reference | None:
    """Returns the cached statistics; None, with a warning, if the file is damaged."""
    try:
        found = read_reference(path)
        check_identity(path, found.identity, identity)
    except FileNotFoundError:
        return None
    except (StatisticsFileError, OSError) as error:
        report(f"warning: {' '.join(str(error).split())}. They are computed again.")
        return None
    return found


def _deciding_fields(data: DataSpec) -> dict[str, str | int | float | None]:
    """Returns the fields of data that change the examples, without the names of splits."""
    fields: dict[str, str | int | float | None] = {}
    for name, value in to_config(data).items():
        if name not in NOT_OF_THE_IMAGES and not name.endswith("_split"):
            plain = value is None or isinstance(value, str | int | float)
            fields[f"data.{name}"] = value if plain else json.dumps(value)
    return fields
