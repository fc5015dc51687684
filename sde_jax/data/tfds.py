"""Images that ``tensorflow_datasets`` has prepared, read without TensorFlow."""

import dataclasses
import io
import pathlib
from typing import Any

import numpy as np
import PIL.Image

from sde_jax.data.array_source import ArraySource
from sde_jax.data.preprocessing import pad_to_square
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import DataSpec, Layout

__all__ = ["DataNotFoundError", "TfdsImages"]

SPLITS = ("train", "test")
PILLOW_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class DataNotFoundError(ValueError):
    """A data set is not where it was looked for; the message says how to get it there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfdsImages(DataSpec):
    """8-bit images of one size with the splits ``train`` and ``test``, and labels where there are.

    The set must be prepared as array_record. It is decoded once and kept as uint8: for sets that
    fit the device's memory.

    Raises:
      ValueError: if ``image_size`` is not positive.
    """

    name: str = "mnist"
    """Name of the set as the catalogue has it, with ``/config`` and ``:version`` where wanted."""

    data_dir: str | None = None
    """Folder of prepared sets. By default $TFDS_DATA_DIR, else ~/tensorflow_datasets."""

    image_size: int | None = None
    """Side of the square in which smaller images are centred on zeros. By default as they are."""

    channels: int | None = None
    """Channels of the images. Stated along with ``image_size``, it makes the shape known without
    the data; by default as they are."""

    flip: bool = False
    """Mirror training images left to right with probability one half."""

    dequantize: bool = True
    """Spread grey levels over their bins in training; published models were trained without."""

    centered: bool = True
    """Whether model coordinates are [-1, 1]; [0, 1] is that of published VE models."""

    def __post_init__(self) -> None:
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f"`image_size` must be positive: got {self.image_size}. None: as is.")
        if self.channels not in (None, *PILLOW_MODES):
            raise ValueError(f"`channels` must be 1, 3 or 4: got {self.channels}. None: as is.")

    def layout(self) -> Layout:
        """Shape and scaling, from the images themselves unless their size and channels are stated.

        Raises:
          DataNotFoundError, ValueError: as for `load`, if the data must be read.
        """
        if self.image_size is None or self.channels is None:
            return super().layout()
        shape = (self.image_size, self.image_size, self.channels)
        return Layout(shape, ImageScaling(centered=self.centered))

    def load(self) -> ArraySource:
        """Reads and decodes both splits.

        Raises:
          DataNotFoundError: if the set is missing, not array_record, or lacks a split.
          ValueError: if its images are not 8-bit of one size, are larger than ``image_size``, or
            have other ``channels``.
        """
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(self._version_folder())
        self._check(builder.info)
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        images, labels = {}, {}
        for split in SPLITS:
            records = builder.as_data_source(split, deserialize_method=raw)
            images[split], labels[split] = _decode(records, builder.info.features["image"].shape)
            if self.image_size is not None:
                images[split] = pad_to_square(images[split], self.image_size)
        labelled = "label" in builder.info.features
        return ArraySource(
            images,
            labels if labelled else None,
            scaling=ImageScaling(centered=self.centered),
            flip=self.flip,
            dequantize=self.dequantize,
        )

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
        missing = [split for split in SPLITS if split not in info.splits]
        if missing:
            raise DataNotFoundError(
                f"{info.full_name} has no split {missing[0]!r}: it has {', '.join(info.splits)}"
            )
        if "image" not in info.features:
            raise ValueError(
                f"{info.full_name} has no feature 'image': it has {', '.join(info.features)}"
            )
        image = info.features["image"]
        if image.np_dtype != np.uint8 or None in image.shape:
            raise ValueError(
                f"{info.full_name} must hold 8-bit images of one size: its images are "
                f"{np.dtype(image.np_dtype).name} of {'x'.join(str(n or '?') for n in image.shape)}"
            )
        if self.image_size is not None and self.image_size < max(image.shape[:2]):
            raise ValueError(
                f"`image_size` must be at least the {max(image.shape[:2])} pixels of "
                f"{info.full_name}: got {self.image_size}"
            )

        if self.channels not in (None, image.shape[-1]):
            raise ValueError(
                f"`channels` must be the {image.shape[-1]} of {info.full_name}: got {self.channels}"
            )

    def _remedy(self) -> str:
        folder = f" --data_dir={self.data_dir}" if self.data_dir else ""
        command = f"tfds build {self.name} --file_format=array_record{folder}"
        return f"Prepare it with `{command}` (the extra `prepare` installs what that needs)."


def _decode(records: Any, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels (0 where there are none) of serialized examples, in their order."""
    from tensorflow_datasets.proto import tf_example_pb2

    images = np.empty((len(records), *shape), np.uint8)
    labels = np.zeros(len(records), np.int32)
    mode = PILLOW_MODES[shape[-1]]
    for i, record in enumerate(records.__getitems__(list(range(len(records))))):
        features = tf_example_pb2.Example.FromString(record).features.feature
        image = PIL.Image.open(io.BytesIO(features["image"].bytes_list.value[0]))
        images[i] = np.asarray(image if image.mode == mode else image.convert(mode)).reshape(shape)
        if "label" in features:
            labels[i] = features["label"].int64_list.value[0]
    return images, labels
