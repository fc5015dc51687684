"""Writes the pickles that `torch.load` reads, without PyTorch."""

import itertools
import pickle
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np

from sde_jax.interop.torch_unpickling import STORAGE_TYPES

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
