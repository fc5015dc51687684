"""Reads the pickles of `torch.save` without PyTorch and without running anything in them.

A pickle is a program for a stack machine that can call any function by its name. The machine here
has only the instructions that build plain values. It resolves a dozen names, each to a constructor
of this module, and refuses all others: nothing is imported or called by a name in the file.

It extends the unpickler in Python. The one in C has no way to drop instructions: it calls
`__setstate__`, returns registered extensions without `find_class`, and allocates memory for any
memo index.
"""

import io
import math
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from sde_jax.lines import first_line

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
"""The types of the values in the storages of module `torch`."""

NUMBER_TYPES = {"b1", "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}
MOST_DIMENSIONS = 64
"""The limit of numpy."""

INSTRUCTIONS = {
    *("PROTO", "FRAME", "STOP", "MARK", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
    *("BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2"),
    *("LONG1", "LONG4", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("TUPLE", "EMPTY_LIST", "EMPTY_DICT", "APPEND", "APPENDS", "SETITEM", "SETITEMS"),
    *("GLOBAL", "STACK_GLOBAL", "BINPERSID", "REDUCE", "BUILD"),
}

DAMAGE = (
    *(pickle.UnpicklingError, struct.error, EOFError, UnicodeError, OverflowError),
    *(LookupError, TypeError, AttributeError),
)
"""Errors of instructions that lack what they need."""


def unpickle(data: bytes, read_storage: ReadStorage) -> Any:
    """Returns the value of ``data``, a pickle of protocol 2 to 5.

    It consists of dicts, lists, tuples, numbers, strings and bytes; an ``OrderedDict`` lacks its
    attributes; a tensor is a read-only array.

    Args:
      data: the pickle.
      read_storage: ``(key, type, count) -> values``, the one-dimensional array of a storage.

    Raises:
      ValueError: if the pickle asks for anything else, or is damaged.
    """
    unpickler = _Unpickler(data, read_storage)
    try:
        value = unpickler.load()
    except DAMAGE as error:
        said = f"{type(error).__name__}: {first_line(str(error))}"
        raise ValueError(f"its pickle is damaged: {said}") from error
    if unpickler.stack or unpickler.metastack:
        raise ValueError("its pickle is damaged: it leaves more than one value")
    return value


def refusal(name: str) -> Callable[[Any], None]:
    """Returns the handler of an instruction that is refused."""

    def refuse(unpickler: Any) -> None:
        raise ValueError(f"its pickle uses {name}, which weights do not need and is refused")

    return refuse


class _Storage(NamedTuple):
    """The values of one or more tensors."""

    values: np.ndarray


class _Unpickler(pickle._Unpickler):
    """The stack machine of Python without the instructions that weights do not need."""

    dispatch: ClassVar[dict[int, Any]] = {
        ord(opcode.code): pickle._Unpickler.dispatch[ord(opcode.code)]
        if opcode.name in INSTRUCTIONS
        else refusal(opcode.name)
        for opcode in pickletools.opcodes
    }

    stack: list[Any]
    metastack: list[list[Any]]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, data: bytes, read_storage: ReadStorage) -> None:
        super().__init__(io.BytesIO(data))
        self._read_storage = read_storage

    def find_class(self, module: str, name: str) -> Any:
        """Returns the constructor, or the type of a storage, that stands for a name."""
        full = f"{module}.{name}"
        if full not in ADMITTED:
            raise ValueError(
                f"its pickle asks for {full[:99]!r}, which is refused: only tensors are read"
            )
        return ADMITTED[full]

    def persistent_load(self, pid: Any) -> _Storage:
        """Returns the storage ``("storage", type, key, device, count)``."""
        match pid:
            case ("storage", np.dtype() as dtype, str(key), _, count):
                return _Storage(self._read_storage(key, dtype, whole(count)))
        raise ValueError("its pickle refers to something else than a storage of values")

    def load_reduce(self) -> None:
        """Calls a constructor of this module."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, FunctionType):
            raise ValueError(f"its pickle calls a {type(function).__name__}, which is refused")
        self.stack.append(function(*arguments))

    def load_build(self) -> None:
        """Drops the attributes of ordered dicts and of types of numbers; refuses all others."""
        state, target = self.stack.pop(), self.stack[-1]
        is_number_type = isinstance(target, np.dtype) and state[1] in ("<", "|", "=")
        if not is_number_type and not isinstance(target, OrderedDict):
            raise ValueError(f"its pickle sets attributes of a {type(target).__name__}: refused")

    def load_setitem(self) -> None:
        """Adds a key and a value to a dict."""
        value, key, target = self.stack.pop(), self.stack.pop(), self.stack[-1]
        if not isinstance(target, dict):
            raise ValueError(f"its pickle applies SETITEM to a {type(target).__name__}")
        # hash() overflows the C stack on deeply nested tuples.
        if not isinstance(key, str | int | float):
            raise ValueError(f"its pickle has a dict with a {type(key).__name__} as a key")
        target[key] = value

    def load_setitems(self) -> None:
        """Adds keys and values to a dict."""
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.stack += key, value
            self.load_setitem()

    dispatch |= {
        pickle.REDUCE[0]: load_reduce,
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
    }


def tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any,
    metadata: Any = None,
) -> np.ndarray:
    """Stands for ``torch._utils._rebuild_tensor_v2``: returns a view of the storage's values."""
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


def parameter(data: Any, requires_grad: Any, hooks: Any, state: Any = None) -> np.ndarray:
    """Stands for ``torch._utils._rebuild_parameter``: returns the tensor of the parameter."""
    if not isinstance(data, np.ndarray):
        raise ValueError("its pickle has a parameter without a tensor")
    return data


def number_type(code: Any, align: Any = False, copy: Any = False) -> np.dtype:
    """Stands for ``numpy.dtype``: returns a type of numbers."""
    if not isinstance(code, str) or code not in NUMBER_TYPES:
        raise ValueError("its pickle has a scalar that is not a number")
    return np.dtype(code)


def scalar(dtype: Any, data: Any) -> np.generic:
    """Stands for numpy's ``multiarray.scalar``."""
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes):
        raise ValueError("its pickle has a scalar that is not a number")
    return np.frombuffer(data, dtype, count=1)[0]


def encode(text: Any, encoding: Any) -> bytes:
    """Stands for ``_codecs.encode``, with which protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("its pickle encodes something else than bytes")
    return text.encode("latin1")


def whole(number: Any) -> int:
    """Returns ``number`` if it is an integer from 0 on that fits into 64 bits."""
    if not isinstance(number, int) or not 0 <= number < 2**63:
        raise ValueError("its pickle has a tensor whose size is not one")
    return number


ADMITTED: dict[str, Any] = {
    "collections.OrderedDict": lambda: OrderedDict(),
    "torch._utils._rebuild_tensor_v2": tensor,
    "torch._utils._rebuild_parameter": parameter,
    "torch._utils._rebuild_parameter_with_state": parameter,
    "numpy.core.multiarray.scalar": scalar,
    "numpy._core.multiarray.scalar": scalar,
    "numpy.dtype": number_type,
    "_codecs.encode": encode,
    **{f"torch.{name}": dtype for name, dtype in STORAGE_TYPES.items()},
}
"""The names that weights need."""
