"""Records that are encoded images, wherever their bytes are."""

import abc
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import PIL

from sde_jax.data.preprocessing import FORMATS, Preprocessing, stored_size
from sde_jax.data.records import BrokenImageError

__all__ = ["EncodedRecords", "Reopened"]

T = TypeVar("T")


class EncodedRecords(abc.ABC):
    """The part of `ImageRecords` that decodes.

    Args:
      preprocessing: what is done to each image.
      size: height and width of every image, where ``preprocessing.image_size`` is None.
    """

    def __init__(self, preprocessing: Preprocessing, size: tuple[int, int] | None) -> None:
        self.preprocessing = preprocessing
        side = preprocessing.image_size
        height, width = size if side is None and size is not None else (side, side)
        if height is None or width is None:
            raise ValueError("`size` must be given where `image_size` is not")
        self._shape = (height, width, preprocessing.channels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image as `read` gives it."""
        return self._shape

    @property
    @abc.abstractmethod
    def labels(self) -> np.ndarray | None:
        """Class of each record as int32, where there are classes."""

    @property
    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Differs where content, order or preprocessing do."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of records."""

    @abc.abstractmethod
    def name(self, index: int) -> str:
        """What a record is called in messages."""

    @abc.abstractmethod
    def encoded(self, indices: Sequence[int]) -> Iterator[bytes | Exception]:
        """The bytes of each of these records, or why there are none."""

    def read(self, indices: Sequence[int]) -> list[np.ndarray | BrokenImageError]:
        """See `ImageRecords.read`."""
        return self._each(self._decode, indices)

    def stored_sizes(self, indices: Sequence[int]) -> list[tuple[int, int] | BrokenImageError]:
        """Height and width of these records before preprocessing, from their headers."""
        return self._each(stored_size, indices)

    def _decode(self, encoded: bytes) -> np.ndarray:
        image = self.preprocessing.decode(encoded)
        if image.shape != self.shape:
            raise ValueError(f"it is {_by(image.shape)}, the others are {_by(self.shape)}")
        return image

    def _each(
        self, function: Callable[[bytes], T], indices: Sequence[int]
    ) -> list[T | BrokenImageError]:
        return [
            attempt(function, encoded, self.name(index))
            for index, encoded in zip(indices, self.encoded(indices), strict=True)
        ]


class Reopened(Generic[T]):
    """Something open that is opened again in each process that uses it."""

    def __init__(self, opening: Callable[[], T]) -> None:
        self._opening = opening
        self._opened: tuple[int, T] | None = None

    def __call__(self) -> T:
        """The one of this process."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), self._opening())
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {"_opening": self._opening, "_opened": None}


def attempt(
    function: Callable[[bytes], T], encoded: bytes | Exception, name: str
) -> T | BrokenImageError:
    """The function's value, or what is wrong with the image: Pillow raises errors of many kinds."""
    try:
        if isinstance(encoded, Exception):
            raise encoded
        return function(encoded)
    except PIL.UnidentifiedImageError:
        return BrokenImageError(f"{name}: it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file")
    except OSError as error:
        return BrokenImageError(f"{name}: {error.strerror or error}")
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return BrokenImageError(f"{name}: {reason}")


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
