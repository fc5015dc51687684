"""Storage of the decoded images of a set: on the device, in a file, or nowhere."""

import dataclasses
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import jax
import numpy as np

from sde_jax.cache_folder import cache_folder
from sde_jax.data.decoding import DecodedImages, available_cores
from sde_jax.data.encoded_records import EncodedRecords, dimensions
from sde_jax.data.image_cache import Broken, ImageCache, decode_good, good_ones
from sde_jax.data.rows import DeviceRows, HostRows, Rows
from sde_jax.data.source import DataSource
from sde_jax.data.transform import DequantizeAndFlip
from sde_jax.lines import first_line
from sde_jax.memory import check_fits
from sde_jax.reporting import report
from sde_jax.validation import Spec, at_least, at_most

DEVICE_SHARE = 0.25
CPU_BYTES = 2 * 2**30
DISK_SHARE = 0.8
CACHE_THREADS = 2
BROKEN_NAMED = 10

Keep = Literal["device", "cache", "stream"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Storage(Spec):
    """Place of the decoded images. The batches are the same, bitwise.

    Raises:
      ValueError: if ``keep`` is none of those named, or ``workers`` is below 1.
    """

    keep: Literal["auto", "device", "cache", "stream"] = "auto"
    """``device``: as uint8 in its memory; ``cache``: as uint8 in a memory-mapped file; ``stream``:
    not at all, they are decoded for each batch. ``auto``: the first with room: a quarter of the
    device's memory (2 GiB on CPU), or four fifths of the free disk."""

    folder: str | None = None
    """Folder of the cache, and of the lists of broken images. By default sde_jax in
    $XDG_CACHE_HOME, else in ~/.cache."""

    workers: Annotated[int | None, at_least(1), at_most(256)] = None
    """Threads that decode once, processes that decode a stream. By default one a core, up to 16."""

    def resolved_folder(self) -> Path:
        """Returns the folder of the cache."""
        return cache_folder() if self.folder is None else Path(self.folder).expanduser()

    def resolved_workers(self) -> int:
        """Returns the number of threads or processes."""
        return min(available_cores(), 16) if self.workers is None else self.workers


def open_images(
    records: Mapping[str, EncodedRecords], storage: Storage, transform: DequantizeAndFlip
) -> DataSource:
    """Returns a source of the good images of ``records`` by split.

    Prints to stderr where the images are kept, and the names of ten broken ones at most, which are
    left out.

    Raises:
      ValueError: if there is no split, images differ in shape, only some splits have labels, a
        split has no good image, or ``transform.scaling`` is not for 256 levels.
      OSError: if the cache cannot be written.
    """
    shape = _common_shape(records, transform.scaling.levels)
    check_fits(math.prod(shape), f"images of {dimensions(shape)}")
    cache = ImageCache(folder=storage.resolved_folder(), threads=storage.resolved_workers())
    keep = _resolved_keep(records, storage.keep, cache)
    if keep == "device":
        count = sum(map(len, records.values()))
        check_fits(count * math.prod(shape), f"{count:,} images with `keep`=device")
    opened = {split: _open_split(of_split, keep, cache) for split, of_split in records.items()}
    _report_broken(records, {split: broken for split, (_, broken) in opened.items()})
    return DataSource(
        {split: rows for split, (rows, _) in opened.items()},
        transform,
        transform.for_evaluation,
        shape=shape,
        scaling=transform.scaling,
    )


def _common_shape(records: Mapping[str, EncodedRecords], levels: int) -> tuple[int, int, int]:
    if not records:
        raise ValueError("`records` must hold at least one split: got none")
    if levels != 256:
        raise ValueError(f"`scaling` must have the 256 levels of images: got {levels}")
    shapes = {split: of_split.shape for split, of_split in records.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"`records` must be of one shape: got {shapes}")
    without = [split for split, of_split in records.items() if of_split.labels is None]
    if without and len(without) < len(records):
        raise ValueError(f"`records` must all have labels, or none: split {without[0]!r} has none")
    return next(iter(shapes.values()))


def _resolved_keep(
    records: Mapping[str, EncodedRecords], keep: Literal["auto"] | Keep, cache: ImageCache
) -> Keep:
    """Resolves ``auto``, and prints where the images are kept."""
    shape = next(iter(records.values())).shape
    size = sum(map(len, records.values())) * math.prod(shape)
    if keep == "auto":
        missing = [of_split for of_split in records.values() if not cache.holds(of_split)]
        to_write = sum(map(len, missing)) * math.prod(shape)
        if size <= device_share():
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
    counts = " + ".join(f"{len(of_split):,}" for of_split in records.values())
    report(f"images: {counts} of {dimensions(shape)}, {size / 1e6:,.1f} MB, {where}")
    return keep


def device_share() -> float:
    """Returns the bytes of a device's memory that data may take."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return DEVICE_SHARE * statistics.get("bytes_limit", CPU_BYTES / DEVICE_SHARE)


def _free_bytes(folder: Path) -> int:
    """Returns the free space on the disk of ``folder``, which need not exist."""
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    return shutil.disk_usage(existing).free


def _open_split(records: EncodedRecords, keep: Keep, cache: ImageCache) -> tuple[Rows, Broken]:
    """Returns the good images of a split, and the broken ones."""
    if keep == "cache":
        cached, broken = cache.images(records)
        labels = _good_labels(records, broken)
        return HostRows(images=cached, labels=labels, threads=CACHE_THREADS), broken
    workers = cache.threads
    if keep == "stream":
        broken = cache.check(records)
        decoded = DecodedImages(records=records, good=good_ones(len(records), broken))
        labels = _good_labels(records, broken)
        rows = HostRows(images=decoded, labels=labels, threads=workers, processes=workers)
        return rows, broken
    images = np.empty((len(records), *records.shape), np.uint8)
    places = iter(images)
    broken = decode_good(records, workers, lambda image: np.copyto(next(places), image))
    good = images[: len(records) - len(broken)]
    return DeviceRows(good, _good_labels(records, broken)), broken


def _good_labels(records: EncodedRecords, broken: Broken) -> np.ndarray | None:
    labels = records.labels
    return None if labels is None else labels[good_ones(len(records), broken)]


def _report_broken(records: Mapping[str, EncodedRecords], broken: Mapping[str, Broken]) -> None:
    """Names the broken images; raises ValueError if a split has no good image."""
    reasons = [why for of_split in broken.values() for why in of_split.values()]
    for why in reasons[:BROKEN_NAMED]:
        report(f"broken image: {first_line(why)}")
    if reasons:
        more = f", {len(reasons) - BROKEN_NAMED:,} of them not named"
        report(
            f"{len(reasons):,} of {sum(map(len, records.values())):,} images are broken and left "
            f"out{more if len(reasons) > BROKEN_NAMED else ''}"
        )
    for split, of_split in records.items():
        if len(broken[split]) == len(of_split):
            found = f"all {len(of_split):,} are broken" if len(of_split) else "it has none"
            raise ValueError(f"split {split!r} has no image that can be read: {found}")
