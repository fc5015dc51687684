"""Base of all specs of images in files."""

import abc
import dataclasses
from collections.abc import Mapping

from sde_jax.data.encoded_records import EncodedRecords
from sde_jax.data.preprocessing import Fit, Preprocessing
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import DataSource, DataSpec, Layout
from sde_jax.data.storage import Storage, open_images
from sde_jax.data.transform import DequantizeAndFlip
from sde_jax.reporting import report


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredImages(DataSpec):
    """Encoded images, with their preprocessing (see `Preprocessing`), storage and scaling.

    Raises:
      ValueError: if a field is out of range, or ``crop_size`` is stated without ``image_size``.
    """

    image_size: int | None = None
    """Side of the square images that they become. By default unchanged, all of one size."""

    fit: Fit = "crop"
    """crop: the centre square, resized; pad: unchanged, centred on zeros, for smaller images;
    stretch: the whole image, resized."""

    crop_size: int | None = None
    """Side of the centre square that crop resizes. By default the shorter side."""

    grey: bool = False
    """Train on luma, one channel."""

    flip: bool = False
    """Mirror training images left to right with probability one half."""

    dequantize: bool = True
    """Spread grey levels over their bins in training; published models were trained without."""

    centered: bool = True
    """Scale images to [-1, 1]; published VE models use [0, 1]."""

    storage: Storage = Storage()
    """Storage of the decoded images."""

    def __post_init__(self) -> None:
        self.preprocessing(3)

    @abc.abstractmethod
    def records(self) -> Mapping[str, EncodedRecords]:
        """Returns the images by split; decodes nothing."""

    def fingerprint(self, split: str) -> str:
        """See `DataSpec.fingerprint`."""
        return self.records()[split].fingerprint

    def layout(self) -> Layout:
        """Returns shape and scaling; opens the data unless size and channels are stated.

        Raises:
          ValueError: as for `records`, if the data are opened.
        """
        channels = 1 if self.grey else getattr(self, "channels", 3)
        if self.image_size is None or channels is None:
            return Layout(next(iter(self.records().values())).shape, self._scaling)
        return Layout((self.image_size, self.image_size, channels), self._scaling)

    def load(self) -> DataSource:
        """Opens the images.

        Raises:
          ValueError: as for `records`, or if none can be decoded.
        """
        transform = DequantizeAndFlip(
            scaling=self._scaling, flip=self.flip, dequantize=self.dequantize
        )
        records = self.records()
        for remark in next(iter(records.values())).remarks:
            report(remark)
        return open_images(records, self.storage, transform)

    @property
    def _scaling(self) -> ImageScaling:
        return ImageScaling(centered=self.centered)

    def preprocessing(self, channels: int) -> Preprocessing:
        """Returns the preprocessing of images that are stored with so many channels."""
        return Preprocessing(
            image_size=self.image_size,
            fit=self.fit,
            crop_size=self.crop_size,
            channels=1 if self.grey else channels,
        )
