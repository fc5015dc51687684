"""The user's own pictures, in a folder or a zip."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sde_jax.data.arrangement import Classes, arrange
from sde_jax.data.encoded_records import EncodedRecords, dimensions
from sde_jax.data.errors import BrokenImageError, DataNotFoundError, MixedSizesError
from sde_jax.data.picture_files import PictureFiles, open_files
from sde_jax.data.preprocessing import Preprocessing
from sde_jax.data.splits import TEST, TRAIN
from sde_jax.data.stored_images import StoredImages


class FolderRecords(EncodedRecords):
    """Some pictures of a folder or a zip.

    Args:
      files: the folder or zip.
      names: the pictures, in this order.
      classes: the classes of the pictures in ``files``.
      remarks: see `EncodedRecords.remarks`.
      preprocessing: the preprocessing of each picture.
      size: height and width of every picture, if ``preprocessing.image_size`` is None.
    """

    def __init__(
        self,
        files: PictureFiles,
        names: Sequence[str],
        classes: Classes,
        remarks: Sequence[str] = (),
        *,
        preprocessing: Preprocessing,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(preprocessing, size)
        self._files = files
        self._names = tuple(names)
        known = classes.of_pictures
        self._labels = None if known is None else np.array([known[n] for n in names], np.int32)
        self.class_names = classes.names
        self.remarks = tuple(remarks)

    @property
    def labels(self) -> np.ndarray | None:
        """See `EncodedRecords.labels`."""
        return self._labels

    def content(self) -> tuple[Any, ...]:
        """Returns names, sizes and times of change (in a zip, checksums), and labels."""
        labels = None if self._labels is None else self._labels.tolist()
        return [(name, self._files.stamps[name]) for name in self._names], labels

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """See `EncodedRecords.name`."""
        return str(self._files.path / self._names[index])

    def encoded(self, indices: Sequence[int]) -> Iterator[bytes | Exception]:
        """See `EncodedRecords.encoded`."""
        for index in indices:
            try:
                yield self._files.read(self._names[index])
            except Exception as error:
                yield error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder(StoredImages):
    """Pictures of any format in `FORMATS`, in a folder and its subfolders, or in a zip of one.

    The splits are those of the folders, see `arrange`, or else ``train`` and, unless ``held_out``
    is 0, ``test``: the pictures whose names have the smallest SHA-256.

    Raises:
      ValueError: if a field is out of range.
    """

    path: str | None = None
    """The folder or the zip."""

    labels: Literal["auto", "none"] = "auto"
    """auto: classes from dataset.json, as EDM writes it, or else from subfolders, if there are
    several; none: no classes."""

    held_out: float = 0.1
    """Fraction of the pictures in the test split, at least one picture; 0: none. Folders named as
    splits, such as train and val, are the splits instead."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels not in ("auto", "none"):
            raise ValueError(f"`labels` must be auto or none: got {self.labels!r}")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"`held_out` must lie in [0, 1): got {self.held_out}. 0: none.")

    def records(self) -> Mapping[str, FolderRecords]:
        """See `StoredImages.records`.

        Raises:
          DataNotFoundError: if ``path`` is not stated, or there are no pictures, or too few to hold
            one out.
          MixedSizesError: if they differ in size, and ``image_size`` is not stated.
          ValueError: if no picture can be read, or dataset.json is malformed.
        """
        if self.path is None:
            raise DataNotFoundError(
                "`path` must be stated: the folder or the zip with the pictures"
            )
        files = open_files(Path(self.path).expanduser())
        splits, classes = arrange(files, labelled=self.labels == "auto")
        counts = ", ".join(f"{split} {len(names):,}" for split, names in splits.items())
        by_folder = [f"splits by subfolder: {counts}"] if splits else []
        remarks = [*files.remarks, *by_folder, classes.remark]
        splits = splits or self._splits(files)
        preprocessing = self.preprocessing(3)
        size = None if self.image_size is not None else _common_size(files)
        return {
            split: FolderRecords(
                files, names, classes, remarks, preprocessing=preprocessing, size=size
            )
            for split, names in splits.items()
        }

    def _splits(self, files: PictureFiles) -> dict[str, list[str]]:
        names = files.pictures
        if self.held_out == 0:
            return {TRAIN: names}
        if len(names) == 1:
            raise DataNotFoundError(
                f"{files.path} has one picture, {names[0]}, which cannot be trained on and held "
                "out: add more, or set `held_out` to 0"
            )
        count = min(max(1, round(self.held_out * len(names))), len(names) - 1)
        test = set(sorted(names, key=_hash)[:count])
        return {
            TRAIN: [name for name in names if name not in test],
            TEST: [name for name in names if name in test],
        }


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode(errors="surrogateescape")).digest()


def _common_size(files: PictureFiles) -> tuple[int, int]:
    """Returns height and width of all pictures that can be read."""
    no_classes = Classes(None, "")
    one = Preprocessing(image_size=1)
    anything = FolderRecords(files, files.pictures, no_classes, preprocessing=one)
    sizes = dict(zip(files.pictures, anything.stored_sizes(range(len(anything))), strict=True))
    known = {name: size for name, size in sizes.items() if not isinstance(size, BrokenImageError)}
    if not known:
        raise ValueError(
            f"none of the {len(sizes)} pictures can be read: {min(sizes.values(), key=str)}"
        )
    first = next(iter(known))
    for name, size in known.items():
        if size != known[first]:
            raise MixedSizesError(
                f"`image_size` must be stated if pictures differ in size: in {files.path}, "
                f"{first} has {dimensions(known[first])} pixels and {name} has {dimensions(size)}"
            )
    return known[first]
