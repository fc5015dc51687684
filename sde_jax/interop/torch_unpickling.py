"""Reads the pickles of `torch.save` without PyTorch and without running anything in them.

A pickle is a program for a stack machine whose instructions can call any function by its name. The
machine here knows only the instructions that build plain values, and a dozen names, each of which
it rebuilds itself: nothing is ever imported or called by a name in the file. What it does not know
it refuses.
"""

import math
import pickletools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

__all__ = ["STORAGE_TYPES", "unpickle"]

ReadStorage = Callable[[str, np.dtype, int], np.ndarray]

STORAGE_TYPES: dict[str, np.dtype] = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(jnp.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}
"""The storages of module `torch`, by the type of their values."""

STORAGES = {f"torch.{name}": dtype for name, dtype in STORAGE_TYPES.items()}
MOST_DIMENSIONS = 64
"""Of an array in numpy."""

PLAIN = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
CONTAINERS: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict}
SMALL_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def unpickle(data: bytes, read_storage: ReadStorage) -> Any:
    """The value that ``data``, of pickle protocol 2 to 5, stands for.

    Dicts, lists, tuples, numbers, strings and bytes; an ``OrderedDict`` without its attributes; a
    tensor as a read-only array; a numpy scalar.

    Args:
      data: the pickle.
      read_storage: ``(key, type, count) -> values``, the one-dimensional array of a storage.

    Raises:
      ValueError: if the pickle asks for anything else, or is damaged.
    """
    machine = _Machine(read_storage)
    try:
        for name, argument in instructions(data):
            machine.execute(name, argument)
        return machine.result()
    except (IndexError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"its pickle is damaged: {error!r}") from error


def instructions(data: bytes) -> Iterator[tuple[str, Any]]:
    """Name and argument of each instruction."""
    try:
        # Of strange characters in names.
        with warnings.catch_warnings(action="ignore"):
            for instruction, argument, _ in pickletools.genops(data):
                yield instruction.name, argument
    except ValueError as error:
        raise ValueError(f"its pickle is damaged: {error}") from error


class _Name(NamedTuple):
    """A function or class that the pickle names; never the thing itself."""

    name: str


class _Storage(NamedTuple):
    """The values of one or more tensors."""

    values: np.ndarray


class _Machine:
    """A stack, the places where lists and tuples on it begin, and values kept for later."""

    def __init__(self, read_storage: ReadStorage) -> None:
        self.read_storage = read_storage
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def execute(self, name: str, argument: Any) -> None:
        """Carries out one instruction."""
        match name:
            case "PROTO" | "FRAME" | "STOP":
                return
            case "MARK":
                self.marks.append(len(self.stack))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "APPEND" | "SETITEM" | "APPENDS" | "SETITEMS":
                self.extend(name)
            case "BUILD":
                check_attributes(self.stack.pop(), self.stack[-1])
            case _:
                self.stack.append(self.value(name, argument))

    def value(self, name: str, argument: Any) -> Any:
        """What an instruction puts on the stack."""
        if name in PLAIN:
            return argument
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in CONTAINERS:
            return CONTAINERS[name]()
        if name in SMALL_TUPLES:
            return tuple(self.pop(SMALL_TUPLES[name]))
        match name:
            case "TUPLE":
                return tuple(self.pop_to_mark())
            case "BINGET" | "LONG_BINGET":
                return self.memo[argument]
            case "GLOBAL":
                return admitted(*argument.split(" ", 1))
            case "STACK_GLOBAL":
                return admitted(*self.pop(2))
            case "BINPERSID":
                return self.storage(self.stack.pop())
            case "REDUCE":
                return rebuilt(*self.pop(2))
        raise ValueError(f"its pickle uses {name}, which weights do not need and is refused")

    def result(self) -> Any:
        """The one value on the stack at the end."""
        if len(self.stack) != 1:
            raise ValueError(f"its pickle is damaged: it leaves {len(self.stack)} values")
        return self.stack[0]

    def pop(self, count: int) -> list[Any]:
        """The last ``count`` values."""
        if count > len(self.stack):
            raise IndexError("stack is empty")
        values = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return values

    def pop_to_mark(self) -> list[Any]:
        """The values since the last mark."""
        return self.pop(len(self.stack) - self.marks.pop())

    def extend(self, name: str) -> None:
        """Puts values, or keys and values, into the list or dict below them."""
        pairs = name.startswith("SETITEM")
        values = self.pop_to_mark() if name.endswith("S") else self.pop(2 if pairs else 1)
        target = self.stack[-1]
        if pairs and isinstance(target, dict):
            for key, value in zip(values[::2], values[1::2], strict=True):
                # Tuples of tuples nest deeper than hash() can go.
                if not isinstance(key, str | int | float):
                    raise ValueError(f"its pickle has a dict with a {type(key).__name__} as a key")
                target[key] = value
        elif not pairs and isinstance(target, list):
            target.extend(values)
        else:
            raise ValueError(f"its pickle applies {name} to a {type(target).__name__}")

    def storage(self, identity: Any) -> _Storage:
        """The storage ``("storage", type, key, device, count)``."""
        match identity:
            case ("storage", _Name(name), str(key), _, count) if name in STORAGES:
                return _Storage(self.read_storage(key, STORAGES[name], whole(count)))
        raise ValueError("its pickle refers to something else than a storage of values")


def admitted(module: Any, name: Any) -> _Name:
    """The name, if it is one of those that weights need."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("its pickle asks for something without a name")
    full = f"{module}.{name}"
    if full not in REBUILD and full not in STORAGES:
        raise ValueError(f"its pickle asks for {full:.99}, which is refused: only tensors are read")
    return _Name(full)


def check_attributes(state: Any, target: Any) -> None:
    """Refuses attributes but those of an ordered dict and of a type of numbers; all are dropped."""
    if isinstance(target, np.dtype) and state[1] in ("<", "|", "="):
        return
    if not isinstance(target, OrderedDict):
        raise ValueError(f"its pickle sets attributes of a {type(target).__name__}: refused")


def rebuilt(function: Any, arguments: Any) -> Any:
    """What the named function would return."""
    if not isinstance(function, _Name) or function.name not in REBUILD:
        raise ValueError(f"its pickle calls a {type(function).__name__}, which is refused")
    return REBUILD[function.name](*arguments)


def ordered_dict() -> OrderedDict[Any, Any]:
    """For ``collections.OrderedDict``, whose items follow."""
    return OrderedDict()


def tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any,
    metadata: Any = None,
) -> np.ndarray:
    """For ``torch._utils._rebuild_tensor_v2``: a view of the storage's values."""
    if not isinstance(storage, _Storage):
        raise ValueError("its pickle has a tensor without a storage")
    if len(size) != len(stride) or len(size) > MOST_DIMENSIONS:
        raise ValueError(f"its pickle has a tensor of {len(size)} sizes and {len(stride)} strides")
    values = storage.values
    offset, size, stride = whole(offset), [*map(whole, size)], [*map(whole, stride)]
    count = math.prod(size)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if count > len(values) or (count and last >= len(values)):
        raise ValueError(
            f"a tensor of size {tuple(size)}, stride {tuple(stride)} and offset {offset} needs "
            f"more than the {len(values)} values of its storage"
        )
    if not count:
        return np.zeros(size, values.dtype)
    steps = [s * values.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(values[offset:], size, steps, writeable=False)


def number_type(code: Any, align: Any = False, copy: Any = False) -> np.dtype:
    """For ``numpy.dtype``: a type of numbers."""
    codes = {"b1", "f2", "f4", "f8", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8))}
    if not isinstance(code, str) or code not in codes:
        raise ValueError("its pickle has a scalar that is not a number")
    return np.dtype(code)


def scalar(dtype: Any, data: Any) -> np.generic:
    """For numpy's ``multiarray.scalar``."""
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes):
        raise ValueError("its pickle has a scalar that is not a number")
    return np.frombuffer(data, dtype, count=1)[0]


def encode(text: Any, encoding: Any) -> bytes:
    """For ``_codecs.encode``, which protocol 2 writes bytes with."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("its pickle encodes something else than bytes")
    return text.encode("latin1")


def whole(number: Any) -> int:
    """``number``, if it is an integer from 0 on that fits into 64 bits."""
    if not isinstance(number, int) or not 0 <= number < 2**63:
        raise ValueError("its pickle has a tensor whose size is not one")
    return number


REBUILD: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": ordered_dict,
    "torch._utils._rebuild_tensor_v2": tensor,
    "numpy.core.multiarray.scalar": scalar,
    "numpy._core.multiarray.scalar": scalar,
    "numpy.dtype": number_type,
    "_codecs.encode": encode,
}
