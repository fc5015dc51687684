"""Images as they are stored: encoded, many, of one split."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

__all__ = ["BrokenImageError", "ImageRecords"]


class BrokenImageError(ValueError):
    """An image that cannot be decoded; the message names it and says why."""


class ImageRecords(Protocol):
    """The images of a split in a fixed order, each decoded when it is asked for.

    Records can be pickled and read by several threads and processes at once.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image as `read` gives it."""

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each record as int32, where there are classes; nothing is decoded for it."""

    @property
    def fingerprint(self) -> str:
        """Differs where content, order or preprocessing do; nothing is decoded for it."""

    def __len__(self) -> int:
        """Number of records, broken ones included."""

    def read(self, indices: Sequence[int]) -> list[np.ndarray | BrokenImageError]:
        """The records of these indices, each preprocessed to uint8 of ``shape``, or its error."""
