"""Reads and writes the files of `torch.save` without PyTorch.

They are zip archives of uncompressed entries: ``<folder>/data.pkl``, a pickle of everything but
the numbers, and ``<folder>/data/<key>``, the values of each storage.
"""

import itertools
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.torch_unpickling import STORAGE_TYPES, unpickle

LARGEST_PICKLE = 2**23
"""Bytes; a network of a thousand tensors with its optimizer needs a twentieth."""

DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    struct.error,
)
"""Errors of `zipfile` for a damaged file."""

HOW_TO_CONVERT = (
    "with PyTorch, `torch.save(torch.load(old, map_location='cpu', weights_only=True), new)` "
    "converts it"
)


def read_torch_file(path: str | PathLike[str]) -> Any:
    """Returns the saved dicts, lists, tuples, numbers and strings; tensors as read-only arrays.

    Nothing in the file is executed; `unpickle` lists the supported values.

    Raises:
      CheckpointFileError: if the file has another format, is damaged, or has other values.
      OSError: if the file does not exist.
    """
    with open(path, "rb") as file:
        try:
            if not zipfile.is_zipfile(file):
                raise ValueError(what_it_is(file))
            with zipfile.ZipFile(file) as archive:
                check_sizes(archive, os.path.getsize(path))
                return _read(archive)
        except DAMAGE as error:
            raise CheckpointFileError(path, f"the file is damaged: {error}") from error
        except ValueError as error:
            raise CheckpointFileError(path, str(error)) from error


def write_torch_file(path: str | PathLike[str], value: Any) -> None:
    """Writes ``value`` for `torch.load`, also with ``weights_only=True``.

    The same value and file name give the same bytes. `pickle_tensors` lists the supported values.
    """
    data, storages = pickle_tensors(value)
    folder = Path(path).stem
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def write(name: str, content: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}"), content)

        write("data.pkl", data)
        write("byteorder", b"little")
        for key, array in enumerate(storages):
            write(f"data/{key}", array.tobytes())
        write("version", b"3\n")


def what_it_is(file: BinaryIO) -> str:
    """Explains why a file that is no zip archive cannot be read."""
    file.seek(0)
    start = file.read(512)
    is_pickle = start[:1] == b"\x80" and start[1:2] <= b"\5"
    if is_pickle or start[257:262] == b"ustar":
        return f"it is of the format of PyTorch before 1.6, which is not read; {HOW_TO_CONVERT}"
    if start.startswith(b"PK"):
        return "the file is damaged: it begins like a zip archive and does not end like one"
    return "it is no file of `torch.save`, which would be a zip archive"


def check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Raises ValueError for compressed entries and entries larger than the file."""
    entries = archive.infolist()
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{entry.filename} is compressed, which `torch.save` never does")
    if sum(entry.file_size for entry in entries) > size:
        raise ValueError("the file is damaged: its entries are larger than itself")


def _read(archive: zipfile.ZipFile) -> Any:
    names = set(archive.namelist())
    folders = [name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(folders) != 1:
        raise ValueError(f"it holds {len(folders)} files data.pkl: a file of `torch.save` has one")
    (folder,) = folders
    if f"{folder}/byteorder" in names and archive.read(f"{folder}/byteorder") != b"little":
        raise ValueError("its numbers are big-endian, which are not read")
    if archive.getinfo(f"{folder}/data.pkl").file_size > LARGEST_PICKLE:
        raise ValueError(f"its pickle is larger than {LARGEST_PICKLE} bytes: refused")
    storages: dict[str, bytes] = {}

    def read_storage(key: str, dtype: np.dtype, count: int) -> np.ndarray:
        if key not in storages:
            if f"{folder}/data/{key}" not in names:
                raise ValueError(f"the file is damaged: it lacks data/{key}")
            storages[key] = archive.read(f"{folder}/data/{key}")
        data = storages[key]
        if len(data) != count * dtype.itemsize:
            raise ValueError(
                f"the file is damaged: data/{key} has {len(data)} bytes, not {count} {dtype}"
            )
        return np.frombuffer(data, dtype)

    return unpickle(archive.read(f"{folder}/data.pkl"), read_storage)


TYPE_NAMES = {dtype: name for name, dtype in STORAGE_TYPES.items()}


def pickle_tensors(value: Any) -> tuple[bytes, list[np.ndarray]]:
    """Returns a pickle of protocol 2, and the storages ``"0"``, ``"1"``, ... it refers to.

    Args:
      value: None, bools, integers, floats, strings, tuples, lists, dicts and ``OrderedDict``s;
        arrays become tensors, numpy scalars plain numbers.

    Raises:
      TypeError: for anything else, and for arrays of a type that PyTorch lacks.
    """
    writer = _Writer()
    writer.write(value)
    return pickle.PROTO + b"\2" + bytes(writer.out) + pickle.STOP, writer.storages


class _Writer:
    """A list of instructions, and the storages they refer to."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.storages: list[np.ndarray] = []

    def write(self, value: Any) -> None:
        """Writes the instructions that push ``value``."""
        match value:
            case np.ndarray():
                self.tensor(value)
            case np.generic():
                self.write(value.item())
            case None | bool() | int() | float() | str():
                self.out += pickle.dumps(value, 2)[2:-1]
            case tuple():
                self.items(pickle.MARK, value, pickle.TUPLE)
            case list():
                self.items(pickle.EMPTY_LIST + pickle.MARK, value, pickle.APPENDS)
            case OrderedDict():
                self.name("collections", "OrderedDict")
                start = pickle.EMPTY_TUPLE + pickle.REDUCE + pickle.MARK
                self.items(start, itertools.chain(*value.items()), pickle.SETITEMS)
            case dict():
                start = pickle.EMPTY_DICT + pickle.MARK
                self.items(start, itertools.chain(*value.items()), pickle.SETITEMS)
            case _:
                raise TypeError(f"cannot write a {type(value).__name__} for PyTorch")

    def tensor(self, array: np.ndarray) -> None:
        """Writes a tensor with a storage of its own."""
        if array.dtype not in TYPE_NAMES:
            raise TypeError(f"cannot write an array of {array.dtype} for PyTorch")
        array = np.asarray(array, order="C")
        strides = tuple(step // array.itemsize for step in array.strides)
        self.name("torch._utils", "_rebuild_tensor_v2")
        self.out += pickle.MARK + pickle.MARK
        self.write("storage")
        self.name("torch", TYPE_NAMES[array.dtype])
        self.items(b"", (str(len(self.storages)), "cpu", array.size), pickle.TUPLE)
        self.out += pickle.BINPERSID
        self.items(b"", (0, array.shape, strides, False, OrderedDict()), pickle.TUPLE)
        self.out += pickle.REDUCE
        self.storages.append(array)

    def items(self, start: bytes, values: Iterable[Any], end: bytes) -> None:
        """Writes values between two instructions."""
        self.out += start
        for value in values:
            self.write(value)
        self.out += end

    def name(self, module: str, name: str) -> None:
        """Writes the name of a function or class."""
        self.out += pickle.GLOBAL + f"{module}\n{name}\n".encode()
