"""What all specs of images in files have in common."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Literal

from sde_jax.data.encoded_records import EncodedRecords
from sde_jax.data.preprocessing import Preprocessing
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import DataSource, DataSpec, Layout
from sde_jax.data.storage import Storage, open_images

__all__ = ["StoredImages"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredImages(DataSpec):
    """Encoded images, how they are preprocessed (see `Preprocessing`), kept and scaled.

    Raises:
      ValueError: if a field is out of range, or ``crop_size`` has nothing to be resized to.
    """

    image_size: int | None = None
    """Side of the square images that they become. By default as they are, all of one size."""

    fit: Literal["crop", "pad"] = "crop"
    """crop: the centre square, resized; pad: unchanged, centred on zeros, for smaller images."""

    crop_size: int | None = None
    """Side of the centre square that crop resizes. By default the shorter side."""

    grey: bool = False
    """Train on luma, one channel."""

    flip: bool = False
    """Mirror training images left to right with probability one half."""

    dequantize: bool = True
    """Spread grey levels over their bins in training; published models were trained without."""

    centered: bool = True
    """Whether model coordinates are [-1, 1]; [0, 1] is that of published VE models."""

    storage: Storage = Storage()
    """Where decoded images are kept."""

    def __post_init__(self) -> None:
        self._preprocessing(3)

    @abc.abstractmethod
    def records(self) -> Mapping[str, EncodedRecords]:
        """The images by split; nothing is decoded."""

    @abc.abstractmethod
    def _stored_channels(self) -> int | None:
        """Channels before ``grey``, if they are known without the data."""

    def layout(self) -> Layout:
        """Shape and scaling, from the data unless size and channels are stated; decodes nothing.

        Raises:
          ValueError: as for `records`, if the data must be looked at.
        """
        channels = 1 if self.grey else self._stored_channels()
        if self.image_size is None or channels is None:
            return Layout(next(iter(self.records().values())).shape, self._scaling)
        return Layout((self.image_size, self.image_size, channels), self._scaling)

    def load(self) -> DataSource:
        """Opens the images.

        Raises:
          ValueError: as for `records`, or if none can be decoded.
        """
        return open_images(
            self.records(),
            storage=self.storage,
            scaling=self._scaling,
            flip=self.flip,
            dequantize=self.dequantize,
        )

    @property
    def _scaling(self) -> ImageScaling:
        return ImageScaling(centered=self.centered)

    def _preprocessing(self, channels: int) -> Preprocessing:
        return Preprocessing(
            image_size=self.image_size,
            fit=self.fit,
            crop_size=self.crop_size,
            channels=1 if self.grey else channels,
        )
