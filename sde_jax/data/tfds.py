"""Images that ``tensorflow_datasets`` has prepared, read without TensorFlow."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sde_jax.data.encoded_records import EncodedRecords, Reopened
from sde_jax.data.errors import DataNotFoundError, MixedSizesError
from sde_jax.data.preprocessing import Fit, Preprocessing
from sde_jax.data.splits import TEST, TRAIN
from sde_jax.data.stored_images import StoredImages

BULK = 1024
"""Number of records that one read for labels takes."""


class TfdsRecords(EncodedRecords):
    """A split of a prepared set, in its stored order.

    Args:
      folder: the folder of the version.
      split: a split, or a part or a sum of splits in the notation of ``tensorflow_datasets``.
      preprocessing: the preprocessing of each image.
      size: height and width of every image, if ``preprocessing.image_size`` is None.
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
        """See `EncodedRecords.labels`; reads all records."""
        if "label" not in _builder(self._folder).info.features:
            return None
        labels = [
            features["label"].int64_list.value[0]
            for first in range(0, len(self), BULK)
            for features in self._features(range(first, min(first + BULK, len(self))))
        ]
        return np.array(labels, np.int32)

    def content(self) -> tuple[Any, ...]:
        """Returns the split, and sizes and times of change of its files."""
        stamps = [
            (file.name, file.stat().st_size, file.stat().st_mtime_ns)
            for file in sorted(self._folder.iterdir())
        ]
        return self._split, stamps

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

        for record in self._source().__getitems__(list(indices)):
            yield tf_example_pb2.Example.FromString(record).features.feature


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfdsImages(StoredImages):
    """An image set of ``tensorflow_datasets``, with its labels if it has a feature ``label``.

    The set must be prepared as array_record. The source's splits are ``train`` and ``test``,
    whatever the set calls them.

    Raises:
      ValueError: if a field is out of range.
    """

    name: str = "mnist"
    """Name of the set in the catalogue, optionally with ``/config`` and ``:version``."""

    data_dir: str | None = None
    """Folder of prepared sets. By default $TFDS_DATA_DIR, else ~/tensorflow_datasets."""

    fit: Fit = "pad"
    """crop: the centre square, resized; pad: unchanged, centred on zeros, for smaller images;
    stretch: the whole image, resized."""

    channels: int | None = None
    """Channels of the stored images. Together with ``image_size`` it determines the shape without
    the data. By default read from the set."""

    train_split: str = "train"
    """Split to train on, or parts and sums of splits such as train[:90%]+validation."""

    test_split: str = "test"
    """Split held out for evaluation, likewise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels is not None:
            self.preprocessing(self.channels)

    def records(self) -> Mapping[str, TfdsRecords]:
        """See `StoredImages.records`.

        Raises:
          DataNotFoundError: if the set is missing, not array_record, or lacks a split.
          MixedSizesError: if its images differ in size, and ``image_size`` is not stated.
          ValueError: if they do not have 8 or 16 bits, have other ``channels``, or are larger than
            the ``image_size`` of pad.
        """
        folder = self._version_folder()
        info = _builder(folder).info
        self._check(info)
        height, width, channels = info.features["image"].shape
        return {
            split: TfdsRecords(
                folder,
                spelled,
                preprocessing=self.preprocessing(channels),
                size=None if height is None or width is None else (height, width),
            )
            for split, spelled in ((TRAIN, self.train_split), (TEST, self.test_split))
        }

    def available_splits(self) -> list[str]:
        """Returns the names of the set's own splits.

        Raises:
          DataNotFoundError: if the set is missing.
        """
        return list(_builder(self._version_folder()).info.splits)

    def _version_folder(self) -> pathlib.Path:
        """Returns the folder of the requested or newest version."""
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
        """Refuses a set that cannot be read, before any image is."""
        formats = [file_format.value for file_format in info.available_file_formats()]
        if "array_record" not in formats:
            raise DataNotFoundError(
                f"{info.full_name} is prepared as {', '.join(formats)}. Rewrite it with "
                f"`tfds convert_format --dataset_version_dir={info.data_dir} "
                f"--out_file_format=array_record` (the extra `prepare` installs its dependencies)."
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
        return f"Prepare it with `{command}` (the extra `prepare` installs its dependencies)."


def _builder(folder: pathlib.Path) -> Any:
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(folder)


def _raw_source(folder: pathlib.Path, split: str) -> Any:
    """Returns a sequence of serialized examples."""
    import tensorflow_datasets as tfds

    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    return _builder(folder).as_data_source(split, deserialize_method=raw)


def _check_split(info: Any, split: str) -> None:
    """Refuses an empty split, and a text that is neither a split, a part nor a sum of splits."""
    try:
        count = info.splits[split].num_examples
    except (ValueError, KeyError):
        raise DataNotFoundError(
            f"{info.full_name} has no split {split!r}: it has {', '.join(info.splits)}, and parts "
            "and sums of them such as train[:90%]+validation"
        ) from None
    if not count:
        raise DataNotFoundError(f"the split {split!r} of {info.full_name} is empty")
