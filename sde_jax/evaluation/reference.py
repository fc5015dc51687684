"""Statistics of a split of data under a feature network: from the cache, a file, or the data."""

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from sde_jax.cache_folder import cache_folder
from sde_jax.data import ENDLESS, DataSource, DataSpec, StoredImages, check_request
from sde_jax.evaluation.examples import Examples, examples, examples_sha256
from sde_jax.evaluation.features import Extracted, FeatureNetwork, extractor
from sde_jax.interop.statistics_file import (
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
from sde_jax.training.processes import first_error, is_first, raise_on_all

NOT_OF_THE_IMAGES = frozenset(
    {"type", "storage", "data_dir", "path", "flip", "dequantize", "centered"}
)
"""Fields of data that say where they are kept, or what training does with them."""

HASHED = 256
"""Stored images whose levels are hashed; their files are told apart by their fingerprint."""


def reference(
    network: FeatureNetwork,
    data: DataSpec,
    split: str,
    *,
    count: int | None = None,
    source: DataSource | None = None,
    batch_size: int = 256,
    mesh: Mesh,
) -> Reference:
    """The statistics of the first ``count`` examples (None: all) of ``split``, computed only once.

    Every process must call this, and gets the same; the first one writes.

    Args:
      network: what the features are of.
      data: which data.
      split: train or test.
      count: examples at most.
      source: ``data`` loaded, where they are already.
      batch_size: examples at once, about.
      mesh: the devices.

    Raises:
      ValueError: if there is no such split, or it has no end and ``count`` is not stated, or there
        are fewer than two examples.
    """
    source = data.load() if source is None else source
    used = examples_used(source, split, count)
    identity = identity_of(network, data, source, split, used)
    path = cached_statistics(identity, data, split)
    found = _cached(path, identity)
    if first_error(None if found else "there are none") is None and found is not None:
        return found
    labels: list[np.ndarray] = []
    batches = examples(source, split, count=used, batch_size=batch_size)
    extracted = _extracted(batches, extractor(network, mesh, batch_size), labels, used)
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
    """The statistics in a file, which must be those that `reference` would compute.

    Of published ones (score_sde's, EDM's) nothing is known but the features' dimension.

    Raises:
      StatisticsFileError: if they are of something else, or as `read_reference`.
      OSError: if there is no such file.
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
    """Refuses statistics of something else, and names the first field that differs."""
    for field, value in expected.items():
        if found.get(field) != value:
            raise StatisticsFileError(
                f"{path}: these are other statistics: `{field}` must be {value}: "
                f"got {found.get(field)}"
            )


def examples_used(source: DataSource, split: str, count: int | None) -> int:
    """How many examples there are of the ``count`` that are asked for (None: all).

    Raises:
      ValueError: as `reference`.
    """
    size = check_request(source.sizes, split, 1)
    if count is None and size == ENDLESS:
        raise ValueError(f"`count` must be stated: there is no end to examples of split {split!r}")
    used = size if count is None else min(count, size)
    if used < 2:
        raise ValueError(f"`count` must be at least 2, for a covariance: got {used}")
    return used


def identity_of(
    network: FeatureNetwork, data: DataSpec, source: DataSource, split: str, count: int
) -> Identity:
    """All that the statistics of the first ``count`` examples hang on, each in a field of its own.

    Where data are kept is no part of it.
    """
    hashed = min(count, HASHED) if isinstance(data, StoredImages) else count
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
    """Where these statistics are kept; the name changes with the files of stored images, too."""
    files = data.records()[split].fingerprint if isinstance(data, StoredImages) else ""
    text = json.dumps([dict(identity), files])
    name = f"{identity['data']}-{split}-{identity['features']}".lower()
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return cache_folder() / "statistics" / f"{name}-{digest}.npz"


class Gathered(NamedTuple):
    """Of features that came in batches: see `Reference`."""

    gaussian: FittedGaussian
    features: np.ndarray
    logits: np.ndarray | None


def gather(batches: Iterable[Extracted], dimension: int) -> Gathered:
    """Moments of all rows, and the first rows; every process has all batches."""
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


def _extracted(
    batches: Iterable[Examples],
    extract: Callable[[np.ndarray], Extracted],
    labels: list[np.ndarray],
    count: int,
) -> Iterator[Extracted]:
    """The features of batches, whose labels are added to ``labels``, while a bar moves."""
    with tqdm(total=count, unit=" examples", desc="statistics", disable=not is_first()) as progress:
        for data, of_batch in batches:
            if of_batch is not None:
                labels.append(of_batch)
            yield extract(data)
            progress.update(len(data))


def _cache(path: Path, computed: Reference) -> None:
    """Writes while no other program writes the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_reference(path, computed)


def _cached(path: Path, identity: Identity) -> Reference | None:
    """What is cached; a damaged file is as none, and said."""
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
    """The fields of data that change the examples of a split; splits are told by themselves."""
    fields: dict[str, str | int | float | None] = {}
    for name, value in to_config(data).items():
        if name not in NOT_OF_THE_IMAGES and not name.endswith("_split"):
            plain = value is None or isinstance(value, str | int | float)
            fields[f"data.{name}"] = value if plain else json.dumps(value)
    return fields
