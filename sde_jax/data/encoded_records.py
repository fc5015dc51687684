"""Records of the encoded images of a split."""

import abc
import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import PIL

from sde_jax.data.errors import BrokenImageError
from sde_jax.data.preprocessing import Preprocessing, stored_size

T = TypeVar("T")
Argument = TypeVar("Argument")


class EncodedRecords(abc.ABC):
    """The images of a split in a fixed order, each decoded when it is read.

    Records can be pickled and read by several threads and processes at once.

    Args:
      preprocessing: the preprocessing of each image.
      size: height and width of every image, if ``preprocessing.image_size`` is None.
    """

    def __init__(self, preprocessing: Preprocessing, size: tuple[int, int] | None) -> None:
        self.preprocessing = preprocessing
        side = preprocessing.image_size
        height, width = size if side is None and size is not None else (side, side)
        if height is None or width is None:
            raise ValueError("`size` must be given if `image_size` is not")
        self.shape = (height, width, preprocessing.channels)
        """Height, width and channels of every image that `read` returns."""

    class_names: tuple[str, ...] | None = None
    """Names of the classes in order, where they have names."""

    remarks: tuple[str, ...] = ()
    """Lines for the user about the whole set."""

    @property
    @abc.abstractmethod
    def labels(self) -> np.ndarray | None:
        """Class of each record as int32, or None without classes; decodes no image."""

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of `content`, preprocessing and shape; decodes no image."""
        text = repr((*self.content(), self.preprocessing, self.shape))
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of records, including broken ones."""

    @abc.abstractmethod
    def content(self) -> tuple[Any, ...]:
        """Returns plain values that differ if the stored images or their order do."""

    @abc.abstractmethod
    def name(self, index: int) -> str:
        """Returns the name of a record for messages."""

    @abc.abstractmethod
    def encoded(self, indices: Sequence[int]) -> Iterator[bytes | Exception]:
        """Yields the bytes of each of these records, or the error of reading them."""

    def read(self, indices: Sequence[int] | np.ndarray) -> list[np.ndarray | BrokenImageError]:
        """Returns these records, each preprocessed to uint8 of ``shape``, or its error."""
        return self._each(self._decode, [int(index) for index in indices])

    def stored_sizes(self, indices: Sequence[int]) -> list[tuple[int, int] | BrokenImageError]:
        """Returns height and width of these records before preprocessing, from their headers."""
        return self._each(stored_size, indices)

    def _decode(self, encoded: bytes) -> np.ndarray:
        image = self.preprocessing.decode(encoded)
        if image.shape != self.shape:
            sizes = dimensions(image.shape), dimensions(self.shape)
            raise ValueError(f"it is {sizes[0]}, the others are {sizes[1]}")
        return image

    def _each(
        self, function: Callable[[bytes], T], indices: Sequence[int]
    ) -> list[T | BrokenImageError]:
        return [
            attempt(function, encoded, self.name(index))
            for index, encoded in zip(indices, self.encoded(indices), strict=True)
        ]


class Reopened(Generic[T]):
    """A handle that each process opens for itself."""

    def __init__(self, opening: Callable[[], T]) -> None:
        self._opening = opening
        self._opened: tuple[int, T] | None = None

    def __call__(self) -> T:
        """Returns the handle of this process."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), self._opening())
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {"_opening": self._opening, "_opened": None}


def attempt(
    function: Callable[[Argument], T], argument: Argument | Exception, name: str
) -> T | BrokenImageError:
    """Returns the function's value, or the image's error: Pillow raises errors of many kinds."""
    try:
        if isinstance(argument, Exception):
            raise argument
        return function(argument)
    except PIL.UnidentifiedImageError:
        return BrokenImageError(f"{name}: it is no picture of a known format")
    except OSError as error:
        return BrokenImageError(f"{name}: {error.strerror or error}")
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return BrokenImageError(f"{name}: {reason}")


def dimensions(shape: Sequence[int]) -> str:
    """Formats a shape for messages: ``32x32x3``."""
    return "x".join(map(str, shape))
