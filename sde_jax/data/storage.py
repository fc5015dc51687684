"""Where the decoded images of a set are kept: on the device, in a file, or nowhere."""

import dataclasses
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from sde_jax.cache_folder import cache_folder
from sde_jax.data.array_source import ArraySource
from sde_jax.data.decoding import DecodedRows, available_cores, decoded
from sde_jax.data.host_source import HostSource
from sde_jax.data.image_cache import Broken, ImageCache, good_ones
from sde_jax.data.records import BrokenImageError, ImageRecords
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import DataSource
from sde_jax.reporting import first_line, report

__all__ = ["Storage", "open_images"]

DEVICE_SHARE = 0.25
CPU_BYTES = 2 * 2**30
DISK_SHARE = 0.8
CACHE_THREADS = 2
BROKEN_NAMED = 10

Keep = Literal["device", "cache", "stream"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Storage:
    """Where decoded images are kept. The batches are the same, bitwise.

    Raises:
      ValueError: if ``keep`` is none of those named, or ``workers`` is below 1.
    """

    keep: Literal["auto", "device", "cache", "stream"] = "auto"
    """``device``: as uint8 in its memory; ``cache``: as uint8 in a memory-mapped file; ``stream``:
    not at all, they are decoded for each batch. ``auto``: the first with room; the device has for a
    quarter of its memory (2 GiB on CPU), the disk for four fifths of what is free."""

    folder: str | None = None
    """Folder of the cache, and of the lists of broken images. By default sde_jax in
    $XDG_CACHE_HOME, else in ~/.cache."""

    workers: int | None = None
    """Threads that decode once, processes that decode a stream. By default one a core, up to 16."""

    def __post_init__(self) -> None:
        if self.keep not in ("auto", "device", "cache", "stream"):
            raise ValueError(
                f"`keep` must be auto, device, cache or stream: got {self.keep!r}. "
                "By size of the data: auto."
            )
        if self.workers is not None and self.workers < 1:
            raise ValueError(
                f"`workers` must be at least 1: got {self.workers}. None: as many as there are "
                "cores."
            )

    def resolved_folder(self) -> Path:
        """The folder of the cache."""
        return cache_folder() if self.folder is None else Path(self.folder).expanduser()

    def resolved_workers(self) -> int:
        """Threads or processes."""
        return min(available_cores(), 16) if self.workers is None else self.workers


def open_images(
    records: Mapping[str, ImageRecords],
    *,
    storage: Storage,
    scaling: ImageScaling,
    flip: bool,
    dequantize: bool,
) -> DataSource:
    """The good images of ``records`` by split, kept as ``storage`` says; stderr says how.

    Broken ones are named on stderr, ten at most, and left out. ``flip`` and ``dequantize`` are
    those of `ArraySource`.

    Raises:
      ValueError: if there is no split, images differ in shape, only some splits have labels, a
        split has no good image, or ``scaling`` is not for 256 levels.
      OSError: if the cache cannot be written.
    """
    shape = _common_shape(records, scaling)
    workers = storage.resolved_workers()
    cache = ImageCache(folder=storage.resolved_folder(), threads=workers)
    keep = _resolved_keep(records, storage.keep, cache)
    kept = {split: _kept(of_split, keep, cache) for split, of_split in records.items()}
    broken = {split: of_split for split, (_, of_split) in kept.items()}
    _report_broken(records, broken)
    images = {split: of_split for split, (of_split, _) in kept.items()}
    labels = _good_labels(records, broken)
    treatment: dict[str, Any] = {"scaling": scaling, "flip": flip, "dequantize": dequantize}
    if keep == "device":
        return ArraySource(images, labels, **treatment)
    if keep == "cache":
        return HostSource(images, shape, labels, **treatment, threads=CACHE_THREADS)
    return HostSource(images, shape, labels, **treatment, threads=workers, processes=workers)


def _common_shape(
    records: Mapping[str, ImageRecords], scaling: ImageScaling
) -> tuple[int, int, int]:
    if not records:
        raise ValueError("`records` must hold at least one split: got none")
    if scaling.levels != 256:
        raise ValueError(f"`scaling` must have the 256 levels of images: got {scaling.levels}")
    shapes = {split: of_split.shape for split, of_split in records.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"`records` must be of one shape: got {shapes}")
    labelled = {split: of_split.labels is not None for split, of_split in records.items()}
    if len(set(labelled.values())) > 1:
        without = [split for split, has in labelled.items() if not has]
        raise ValueError(f"`records` must all have labels, or none: split {without[0]!r} has none")
    return next(iter(shapes.values()))


def _resolved_keep(
    records: Mapping[str, ImageRecords], keep: Literal["auto"] | Keep, cache: ImageCache
) -> Keep:
    """Says how the images are kept, and chooses where it is left open."""
    counts = " + ".join(f"{len(of_split):,}" for of_split in records.values())
    shape = next(iter(records.values())).shape
    size = sum(len(of_split) for of_split in records.values()) * math.prod(shape)
    if keep == "auto":
        missing = [of_split for of_split in records.values() if not cache.holds(of_split)]
        to_write = sum(len(of_split) for of_split in missing) * math.prod(shape)
        if size <= _device_bytes():
            keep = "device"
        elif to_write <= DISK_SHARE * _free_bytes(cache.folder):
            keep = "cache"
        else:
            keep = "stream"
    where = {
        "device": "kept on the device",
        "cache": f"kept decoded in {cache.folder}",
        "stream": "streamed",
    }[keep]
    report(f"images: {counts} of {'x'.join(map(str, shape))}, {size / 1e6:,.1f} MB, {where}")
    return keep


def _device_bytes() -> float:
    """How much of a device's memory images may take."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return DEVICE_SHARE * statistics.get("bytes_limit", CPU_BYTES / DEVICE_SHARE)


def _free_bytes(folder: Path) -> int:
    """Room on the disk of ``folder``, which need not exist."""
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    return shutil.disk_usage(existing).free


def _kept(records: ImageRecords, keep: Keep, cache: ImageCache) -> tuple[Any, Broken]:
    """The good images of a split, an array or `Rows`, and the broken."""
    if keep == "device":
        return _decode(records, cache.threads)
    if keep == "cache":
        return cache.rows(records)
    broken = cache.check(records)
    return DecodedRows(records=records, good=good_ones(len(records), broken)), broken


def _decode(records: ImageRecords, threads: int) -> tuple[np.ndarray, Broken]:
    images = np.empty((len(records), *records.shape), np.uint8)
    broken: Broken = {}
    for index, image in enumerate(decoded(records, threads)):
        if isinstance(image, BrokenImageError):
            broken[index] = str(image)
        else:
            images[index - len(broken)] = image
    return images[: len(records) - len(broken)], broken


def _report_broken(records: Mapping[str, ImageRecords], broken: Mapping[str, Broken]) -> None:
    """Names the broken images; raises ValueError if a split has no other."""
    reasons = [why for of_split in broken.values() for why in of_split.values()]
    for why in reasons[:BROKEN_NAMED]:
        report(f"broken image: {first_line(why)}")
    if reasons:
        total = sum(len(of_split) for of_split in records.values())
        more = f", {len(reasons) - BROKEN_NAMED:,} of them not named"
        report(
            f"{len(reasons):,} of {total:,} images are broken and left out"
            + (more if len(reasons) > BROKEN_NAMED else "")
        )
    for split, of_split in records.items():
        if len(broken[split]) == len(of_split):
            found = f"all {len(of_split):,} are broken" if len(of_split) else "it has none"
            raise ValueError(f"split {split!r} has no image that can be read: {found}")


def _good_labels(
    records: Mapping[str, ImageRecords], broken: Mapping[str, Broken]
) -> dict[str, np.ndarray] | None:
    labels = {}
    for split, of_split in records.items():
        of_all = of_split.labels
        if of_all is None:
            return None
        labels[split] = of_all[good_ones(len(of_split), broken[split])]
    return labels
