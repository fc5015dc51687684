"""CIFAR-10 as image records, from the files that tensorflow_datasets prepared."""

import dataclasses
import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from sde_jax.data.records import BrokenImageError

SIZES = {"train": 50_000, "test": 10_000}


@dataclasses.dataclass(frozen=True)
class Cifar10Records:
    """See `ImageRecords`."""

    folder: str
    split: str
    shape = (32, 32, 3)
    labels = None

    @property
    def fingerprint(self) -> str:
        """Of the folder and the split."""
        return f"cifar10 {Path(self.folder).resolve()} {self.split}"

    def __len__(self) -> int:
        return SIZES[self.split]

    def read(self, indices: Sequence[int]) -> list[np.ndarray | BrokenImageError]:
        """See `ImageRecords`."""
        from tensorflow_datasets.proto import tf_example_pb2

        examples = map(tf_example_pb2.Example.FromString, self._source.__getitems__(list(indices)))
        files = (example.features.feature["image"].bytes_list.value[0] for example in examples)
        return [np.asarray(PIL.Image.open(io.BytesIO(file))) for file in files]

    @functools.cached_property
    def _source(self) -> Any:
        import tensorflow_datasets as tfds

        (version,) = (Path(self.folder) / "cifar10").iterdir()
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        builder = tfds.builder_from_directory(version)
        return builder.as_data_source(self.split, deserialize_method=raw)

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "split": self.split}
