"""Images that ``tensorflow_datasets`` has prepared, read without TensorFlow."""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from sde_jax.data.encoded_records import EncodedRecords, Reopened
from sde_jax.data.errors import DataNotFoundError, MixedSizesError
from sde_jax.data.preprocessing import Preprocessing
from sde_jax.data.stored_images import StoredImages

__all__ = ["TfdsImages", "TfdsRecords"]

BULK = 1024
"""Records read at once for their labels."""


class TfdsRecords(EncodedRecords):
    """A split of a prepared set, in the order in which it is stored.

    Args:
      folder: the folder of the version.
      split: the split, or a part or a sum of splits in the words of ``tensorflow_datasets``.
      preprocessing: what is done to each image.
      size: height and width of each, where ``preprocessing.image_size`` is None.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        split: str,
        *,
        preprocessing: Preprocessing,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(preprocessing, size)
        self._folder = folder
        self._split = split
        self._source = Reopened(functools.partial(_raw_source, folder, split))
        self._count = len(self._source())

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """See `ImageRecords.labels`; all records are read for it."""
        if "label" not in _builder(self._folder).info.features:
            return None
        labels = [
            features["label"].int64_list.value[0]
            for first in range(0, len(self), BULK)
            for features in self._features(range(first, min(first + BULK, len(self))))
        ]
        return np.array(labels, np.int32)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Of the split, sizes and times of change of its files, and preprocessing."""
        stamps = [
            (file.name, file.stat().st_size, file.stat().st_mtime_ns)
            for file in sorted(self._folder.iterdir())
        ]
        what = repr((self._split, stamps, self.preprocessing, self.shape))
        return hashlib.sha256(what.encode()).hexdigest()

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        """See `EncodedRecords.name`."""
        return f"{self._folder} {self._split}, record {index}"

    def encoded(self, indices: Sequence[int]) -> Iterator[bytes | Exception]:
        """See `EncodedRecords.encoded`."""
        for features in self._features(indices):
            yield features["image"].bytes_list.value[0]

    def _features(self, indices: Sequence[int]) -> Iterator[Any]:
        from tensorflow_datasets.proto import tf_example_pb2

        for record in self._source().__getitems__([int(index) for index in indices]):
            yield tf_example_pb2.Example.FromString(record).features.feature


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfdsImages(StoredImages):
    """An image set of ``tensorflow_datasets``, with its labels if it has a feature ``label``.

    The set must be prepared as array_record. What trains is the split ``train``, what is held out
    ``test``, whatever they are in the set.

    Raises:
      ValueError: if a field is out of range.
    """

    name: str = "mnist"
    """Name of the set as the catalogue has it, with ``/config`` and ``:version`` where wanted."""

    data_dir: str | None = None
    """Folder of prepared sets. By default $TFDS_DATA_DIR, else ~/tensorflow_datasets."""

    fit: Literal["crop", "pad"] = "pad"
    """crop: the centre square, resized; pad: unchanged, centred on zeros, for smaller images."""

    channels: int | None = None
    """Channels of the stored images. Stated along with ``image_size``, it makes the shape known
    without the data; by default as they are."""

    train_split: str = "train"
    """What to train on: a split, or parts and sums such as train[:90%]+validation."""

    test_split: str = "test"
    """What is held out, likewise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels is not None:
            self._preprocessing(self.channels)

    def records(self) -> Mapping[str, TfdsRecords]:
        """See `StoredImages.records`.

        Raises:
          DataNotFoundError: if the set is missing, not array_record, or lacks a split.
          MixedSizesError: if its images differ in size, and ``image_size`` is not stated.
          ValueError: if they are not of 8 or 16 bits, have other ``channels``, or are larger than
            an ``image_size`` to which they are padded.
        """
        folder = self._version_folder()
        info = _builder(folder).info
        self._check(info)
        height, width, channels = info.features["image"].shape
        return {
            split: TfdsRecords(
                folder,
                spelled,
                preprocessing=self._preprocessing(channels),
                size=None if height is None or width is None else (height, width),
            )
            for split, spelled in (("train", self.train_split), ("test", self.test_split))
        }

    def available_splits(self) -> list[str]:
        """The splits that the set has of itself.

        Raises:
          DataNotFoundError: if the set is missing.
        """
        return list(_builder(self._version_folder()).info.splits)

    def _stored_channels(self) -> int | None:
        return self.channels

    def _version_folder(self) -> pathlib.Path:
        """The folder of the asked or newest version."""
        import tensorflow_datasets as tfds

        data_dir = pathlib.Path(self.data_dir or tfds.core.constants.DATA_DIR).expanduser()
        if not data_dir.is_dir():
            raise DataNotFoundError(f"`data_dir` {data_dir} is not a folder. {self._remedy()}")
        folder = data_dir / self.name.replace(":", "/")
        infos = [*folder.glob("dataset_info.json"), *folder.glob("*/dataset_info.json")]
        if not infos:
            raise DataNotFoundError(f"`data_dir` {data_dir} has no {self.name!r}. {self._remedy()}")
        return max((info.parent for info in infos), key=lambda path: tfds.core.Version(path.name))

    def _check(self, info: Any) -> None:
        """Refuses what cannot be read, before anything is."""
        formats = [file_format.value for file_format in info.available_file_formats()]
        if "array_record" not in formats:
            raise DataNotFoundError(
                f"{info.full_name} is prepared as {', '.join(formats)}. Rewrite it with "
                f"`tfds convert_format --dataset_version_dir={info.data_dir} "
                f"--out_file_format=array_record` (the extra `prepare` installs what that needs)."
            )
        for split in (self.train_split, self.test_split):
            _check_split(info, split)
        if "image" not in info.features:
            raise ValueError(
                f"{info.full_name} has no feature 'image': it has {', '.join(info.features)}"
            )
        self._check_image(info.full_name, info.features["image"])

    def _check_image(self, name: str, image: Any) -> None:
        *size, channels = image.shape
        if image.np_dtype not in (np.uint8, np.uint16) or channels is None:
            raise ValueError(
                f"{name} must hold images of 8 or 16 bits with a known number of channels: its "
                f"images are {np.dtype(image.np_dtype).name} of {channels or '?'} channels"
            )
        if self.channels not in (None, channels):
            raise ValueError(f"`channels` must be the {channels} of {name}: got {self.channels}")
        if self.image_size is None and None in size:
            raise MixedSizesError(
                f"`image_size` must be stated for {name}: its images differ in size"
            )
        largest = max(length or 0 for length in size)
        if self.image_size is not None and self.fit == "pad" and self.image_size < largest:
            raise ValueError(
                f"`image_size` must be at least the {largest} pixels of {name} if `fit` is pad: "
                f"got {self.image_size}. With `fit` crop they are resized."
            )

    def _remedy(self) -> str:
        folder = f" --data_dir={self.data_dir}" if self.data_dir else ""
        command = f"tfds build {self.name} --file_format=array_record{folder}"
        return f"Prepare it with `{command}` (the extra `prepare` installs what that needs)."


def _builder(folder: pathlib.Path) -> Any:
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(folder)


def _raw_source(folder: pathlib.Path, split: str) -> Any:
    """A sequence of serialized examples."""
    import tensorflow_datasets as tfds

    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    return _builder(folder).as_data_source(split, deserialize_method=raw)


def _check_split(info: Any, split: str) -> None:
    """Refuses what is no split, no part and no sum of splits, or is empty."""
    try:
        count = info.splits[split].num_examples
    except (ValueError, KeyError):
        raise DataNotFoundError(
            f"{info.full_name} has no split {split!r}: it has {', '.join(info.splits)}, and parts "
            "and sums of them such as train[:90%]+validation"
        ) from None
    if not count:
        raise DataNotFoundError(f"the split {split!r} of {info.full_name} is empty")
