"""Arrays of .npy and .npz files. Nothing in a file is executed, and no header is believed."""

import contextlib
import math
import zipfile
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from sde_jax.memory import check_fits

MAGIC = b"\x93NUMPY"
HEADERS: dict[bytes, Any] = {
    b"\1\0": np.lib.format.read_array_header_1_0,
    b"\2\0": np.lib.format.read_array_header_2_0,
}
"""Readers of the header by version of the format."""

PIECE = 2**24
"""Bytes that are read at once."""


class ArraysError(ValueError):
    """A file holds no arrays that can be read; the message is one line without its full stop."""


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of an .npz file by name, or the one of an .npy file, named ``""``.

    The content tells which of the two a file is. An array is read when it is asked for.

    Raises:
      ArraysError: here and for each array, if the file has another format, is damaged, encrypted or
        no regular file, or if a header promises more than there is.
      OSError: if there is no such file.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_file():
            raise ArraysError(f"{path} cannot be read: it is no file")
        self._file = self.path.open("rb")
        self._entries: dict[str, zipfile.ZipInfo | None] = {"": None}
        with contextlib.ExitStack() as closing, self._naming_file():
            closing.callback(self._file.close)
            if zipfile.is_zipfile(self._file):
                self._archive = zipfile.ZipFile(self._file)
                entries = self._archive.infolist()
                self._entries = {entry.filename.removesuffix(".npy"): entry for entry in entries}
            else:
                _check_start(self._file)
            closing.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        with self._naming_file():
            if entry is not None:
                with self._archive.open(entry.filename) as file:
                    return _array(file, entry.file_size)
            return _array(self._file, self._file.seek(0, 2))

    def mapped(self) -> np.ndarray:
        """Returns the array of an .npy file, mapped into memory read-only.

        Raises:
          ArraysError: as for reading it.
        """
        with self._naming_file():
            size = self._file.seek(0, 2)
            shape, order, dtype = _header(self._file, size)
            return np.memmap(self.path, dtype, "r", self._file.tell(), shape, order)

    @contextlib.contextmanager
    def _naming_file(self) -> Iterator[None]:
        """Turns any error into one line with the file: zipfile and numpy raise many kinds."""
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ArraysError(f"{self.path} cannot be read: {reason}") from error


def _array(file: Any, size: int) -> np.ndarray:
    """Reads the array of an .npy file of ``size`` bytes."""
    shape, order, dtype = _header(file, size)
    check_fits(math.prod(shape) * dtype.itemsize, "its arrays")
    data = np.empty(math.prod(shape) * dtype.itemsize, np.uint8)
    for first in range(0, data.size, PIECE):
        part = data[first : first + PIECE]
        if file.readinto(part) < part.size:
            raise ValueError("it ends too early")
    return np.ndarray(shape, dtype, data, order=order)


def _header(file: Any, size: int) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any]]:
    """Reads shape, order and type of the array of an .npy file of ``size`` bytes."""
    _check_start(file)
    version = file.read(2)
    if version not in HEADERS:
        raise ValueError("its version of the format .npy is unknown")
    try:
        shape, by_columns, dtype = HEADERS[version](file)
    except Exception:
        raise ValueError("its header is damaged") from None
    if dtype.hasobject or any(length < 0 for length in shape):
        raise ValueError(f"its header says {dtype} {shape}, which is no array of plain values")
    if math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"its header promises {dtype} {shape}, more than it holds")
    return shape, "F" if by_columns else "C", dtype


def _check_start(file: Any) -> None:
    """Raises ValueError unless a file begins as an .npy file does."""
    file.seek(0)
    start = file.read(len(MAGIC))
    if start != MAGIC:
        raise ValueError("it is neither an .npy nor an .npz file" if start else "it is empty")
