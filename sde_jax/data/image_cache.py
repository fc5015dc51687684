"""Files about image records: a list of the broken ones, and the decoded good ones."""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from sde_jax.atomic import whole_file, write_json
from sde_jax.data.decoding import decoded
from sde_jax.data.encoded_records import EncodedRecords
from sde_jax.data.errors import BrokenImageError
from sde_jax.json_files import DamagedFileError, read_json
from sde_jax.validation import fits

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Broken = dict[int, str]
"""The reason why a record cannot be decoded, by its index."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageCache:
    """Files about image records, named by their fingerprint.

    Files appear whole or not at all. While a process writes one, others of the same machine wait;
    processes of other machines write the same file.
    """

    folder: Path
    """Folder of the files, created when it is needed."""

    threads: int
    """Threads that decode."""

    def check(self, records: EncodedRecords) -> Broken:
        """Returns the broken ones of ``records``; decodes all unless they were checked before.

        Raises:
          OSError: in one line, if the folder cannot be written.
        """
        path = self._path(records, ".json")
        with self._only_writer(records):
            broken = _read_broken(path)
            if broken is None:
                broken = decode_good(records, self.threads, lambda image: None)
                write_json(path, broken)
            return broken

    def images(self, records: EncodedRecords) -> tuple[np.ndarray, Broken]:
        """Returns the good ones of ``records`` in a memory map, and the broken ones.

        Decodes all unless the file exists.

        Raises:
          OSError: in one line, if the folder cannot be written or its disk is full.
        """
        path, about = self._path(records, ".uint8"), self._path(records, ".json")
        with self._only_writer(records):
            broken = self._broken(records)
            if broken is None:
                with whole_file(path) as file:
                    broken = decode_good(
                        records,
                        self.threads,
                        lambda image: file.write(np.ascontiguousarray(image).data),
                    )
                write_json(about, broken)
        shape = (len(records) - len(broken), *records.shape)
        if not shape[0]:
            return np.empty(shape, np.uint8), broken
        return np.asarray(np.memmap(path, np.uint8, "r", shape=shape)), broken

    def holds(self, records: EncodedRecords) -> bool:
        """Tells if the decoded images of ``records`` are in the folder."""
        return self._broken(records) is not None

    def _broken(self, records: EncodedRecords) -> Broken | None:
        """Returns the broken ones if the decoded images are in the folder."""
        path, broken = self._path(records, ".uint8"), _read_broken(self._path(records, ".json"))
        if broken is None or not path.is_file():
            return None
        good = len(records) - len(broken)
        return broken if path.stat().st_size == good * math.prod(records.shape) else None

    def _path(self, records: EncodedRecords, suffix: str) -> Path:
        text = f"{records.fingerprint} {len(records)} {records.shape}"
        return self.folder / (hashlib.sha256(text.encode()).hexdigest()[:32] + suffix)

    @contextlib.contextmanager
    def _only_writer(self, records: EncodedRecords) -> Iterator[None]:
        """Waits for other writers of the same files; names the remedy for a full disk."""
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


def decode_good(
    records: EncodedRecords, threads: int, use: Callable[[np.ndarray], object]
) -> Broken:
    """Decodes all records, calls ``use`` with each good image in order; returns the broken ones."""
    broken: Broken = {}
    for index, image in enumerate(decoded(records, threads)):
        if isinstance(image, BrokenImageError):
            broken[index] = str(image)
        else:
            use(image)
    return broken


def good_ones(count: int, broken: Broken) -> np.ndarray:
    """Returns the indices of ``count`` records that are not broken."""
    return np.setdiff1d(np.arange(count), list(broken))


def _read_broken(path: Path) -> Broken | None:
    """Returns the list in a file; None if there is none, or it is damaged."""
    try:
        stored = read_json(path)
    except (FileNotFoundError, DamagedFileError):
        return None
    if not fits(stored, dict[str, str]) or not all(index.isdecimal() for index in stored):
        return None
    return {int(index): why for index, why in stored.items()}
