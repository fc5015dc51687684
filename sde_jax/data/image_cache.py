"""Files about image records in a folder: which are broken, and all good ones, decoded."""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sde_jax.atomic import whole_file, write_json
from sde_jax.data.decoding import decoded
from sde_jax.data.records import BrokenImageError, ImageRecords

__all__ = ["Broken", "CachedRows", "ImageCache", "good_ones"]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Broken = dict[int, str]
"""Why a record cannot be decoded, by its index."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CachedRows:
    """Decoded images in a file, of which a read loads what it needs."""

    images: np.ndarray
    """A memory map of uint8 ``[count, height, width, channels]``."""

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See `Rows`."""
        return self.images[indices]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageCache:
    """What is known of image records, in files that bear their fingerprint.

    Files appear whole or not at all. While a process makes one, others of the same machine wait;
    any others make the same file.
    """

    folder: Path
    """Where the files are; made when it is needed."""

    threads: int
    """Threads that decode."""

    def check(self, records: ImageRecords) -> Broken:
        """The broken ones of ``records``; decodes all if that is not known yet.

        Raises:
          OSError: in one line, if the folder cannot be written.
        """
        path = self._path(records, ".json")
        with self._only_writer(records):
            if not path.is_file():
                images = enumerate(decoded(records, self.threads))
                broken = {i: str(x) for i, x in images if isinstance(x, BrokenImageError)}
                write_json(path, broken)
            return _read_broken(path)

    def rows(self, records: ImageRecords) -> tuple[CachedRows, Broken]:
        """The good ones of ``records``, and the broken; decodes all if it was not done yet.

        Raises:
          OSError: in one line, if the folder cannot be written or its disk is full.
        """
        path, about = self._path(records, ".uint8"), self._path(records, ".json")
        with self._only_writer(records):
            if not self.holds(records):
                write_json(about, self._write(records, path))
            broken = _read_broken(about)
        shape = (len(records) - len(broken), *records.shape)
        if not shape[0]:
            return CachedRows(images=np.empty(shape, np.uint8)), broken
        return CachedRows(images=np.asarray(np.memmap(path, np.uint8, "r", shape=shape))), broken

    def holds(self, records: ImageRecords) -> bool:
        """Whether ``records`` are here decoded."""
        path, about = self._path(records, ".uint8"), self._path(records, ".json")
        if not (path.is_file() and about.is_file()):
            return False
        good = len(records) - len(_read_broken(about))
        return path.stat().st_size == good * math.prod(records.shape)

    def _write(self, records: ImageRecords, path: Path) -> Broken:
        broken: Broken = {}
        with whole_file(path) as file:
            for index, image in enumerate(decoded(records, self.threads)):
                if isinstance(image, BrokenImageError):
                    broken[index] = str(image)
                else:
                    file.write(np.ascontiguousarray(image).data)
        return broken

    def _path(self, records: ImageRecords, suffix: str) -> Path:
        text = f"{records.fingerprint} {len(records)} {records.shape}"
        return self.folder / (hashlib.sha256(text.encode()).hexdigest()[:32] + suffix)

    @contextlib.contextmanager
    def _only_writer(self, records: ImageRecords) -> Iterator[None]:
        """Waits for other processes that write about the same; says what to do on a full disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with self._path(records, ".lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            if error.errno not in FULL:
                raise
            size = len(records) * math.prod(records.shape) / 1e6
            raise OSError(
                error.errno,
                f"{os.strerror(error.errno)} for {size:.3g} MB of decoded images. Name another "
                "`folder` for them, or `keep` none (stream)",
                str(self.folder),
            ) from error


def good_ones(count: int, broken: Broken) -> np.ndarray:
    """The indices of ``count`` records that are not among the broken."""
    return np.setdiff1d(np.arange(count), list(broken))


def _read_broken(path: Path) -> Broken:
    return {int(index): why for index, why in json.loads(path.read_text()).items()}
