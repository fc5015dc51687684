"""Preprocessing of images before they become a data source."""

import dataclasses
import functools
import io
from typing import Literal, get_args

import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.ImageOps

from sde_jax.validation import shown

FORMATS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "ICO": (".ico",),
    "DDS": (".dds",),
    "PCX": (".pcx",),
    "PSD": (".psd",),
    "QOI": (".qoi",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "TGA": (".tga",),
}
"""The formats that are read, by their names in Pillow, with the suffixes of their files. Formats
that start other programs, as EPS does, or that are no pictures are left out."""

DENSEST, SMALL = 1000, 2**24
"""Pixels of a byte that are too many for a picture of more than `SMALL` pixels."""

Fit = Literal["crop", "pad", "stretch"]
"""Ways to make an image square."""

MODES: dict[int, str] = {1: "L", 3: "RGB", 4: "RGBA"}
LARGEST_SIDE = 2**16
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Converts an image of any kind to uint8 ``[height, width, channels]``, in this order.

    1. The EXIF orientation turns it upright.
    2. It becomes grey, red-green-blue or red-green-blue with alpha, by ``channels``. The upper 8 of
       16 bits are kept, grey is luma (.299 R + .587 G + .114 B), transparent pixels are blended
       with white, and CMYK is R = (255 - C) (255 - K) / 255, likewise G and B. Colour profiles are
       ignored.
    3. ``fit`` makes it a square of ``image_size``, if that is stated. The resize is Pillow's
       bicubic one (a = -1/2), antialiased: its support widens when the image shrinks.

    Raises:
      ValueError: if a field is out of range, or ``crop_size`` is stated without ``image_size``.
    """

    image_size: int | None = None
    """Side of the images in pixels; None: unchanged."""

    fit: Fit = "crop"
    """crop: the centre square, resized; pad: unchanged, centred on zeros, for smaller images;
    stretch: the whole image, resized."""

    crop_size: int | None = None
    """Side of the centre square that crop resizes; None: the shorter side."""

    channels: int = 3
    """1: grey; 3: colour; 4: colour and alpha."""

    def __post_init__(self) -> None:
        for field in ("image_size", "crop_size"):
            value = getattr(self, field)
            if value is not None and not 1 <= value <= LARGEST_SIDE:
                raise ValueError(
                    f"`{field}` must be positive and at most {LARGEST_SIDE:,}: got {shown(value)}. "
                    "None: unchanged."
                )
        if self.fit not in get_args(Fit):
            raise ValueError(f"`fit` must be crop, pad or stretch: got {self.fit!r}")
        if self.channels not in MODES:
            raise ValueError(f"`channels` must be 1, 3 or 4: got {self.channels}")
        if self.crop_size is not None and (self.fit != "crop" or self.image_size is None):
            raise ValueError(
                "`crop_size` must go with fit=crop and an `image_size`, the size after the resize: "
                f"got crop_size={self.crop_size}, fit={self.fit}, image_size={self.image_size}"
            )

    def decode(self, encoded: bytes) -> np.ndarray:
        """Decodes and preprocesses a file of a format in `FORMATS`, the first of several frames.

        Raises:
          Exception: any that Pillow raises for a file that is damaged or too large.
        """
        with _opened(encoded) as image:
            return self(image)

    def __call__(self, image: PIL.Image.Image) -> np.ndarray:
        """Returns the preprocessed image.

        Raises:
          ValueError: if its mode has no fixed range, a side is shorter than ``crop_size``, or pad
            finds a side longer than ``image_size``.
        """
        upright = image if _orientation(image) == 1 else PIL.ImageOps.exif_transpose(image)
        image = self._in_mode(upright)
        if self.image_size is not None and self.fit != "pad":
            square = self._centre(image) if self.fit == "crop" else image
            image = square.resize((self.image_size,) * 2, PIL.Image.Resampling.BICUBIC)
        levels = np.array(image).reshape(image.height, image.width, self.channels)
        if self.image_size is not None and self.fit == "pad":
            return pad_to_square(levels, self.image_size)
        return levels

    def _in_mode(self, image: PIL.Image.Image) -> PIL.Image.Image:
        if image.mode in SIXTEEN_BITS:
            image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode in ("I", "F"):
            raise ValueError(f"its pixels (mode {image.mode}) have no fixed range")
        mode = MODES[self.channels]
        if image.has_transparency_data and mode != "RGBA":
            image = image.convert("RGBA")
            white = PIL.Image.new("RGBA", image.size, "white")
            image = PIL.Image.alpha_composite(white, image)
        if mode == "L" and image.mode not in ("1", "L"):
            image = image.convert("RGB")
        return image if image.mode == mode else image.convert(mode)

    def _centre(self, image: PIL.Image.Image) -> PIL.Image.Image:
        side = self.crop_size or min(image.size)
        if side > min(image.size):
            raise ValueError(
                f"`crop_size` must fit into its {image.height}x{image.width} pixels: got {side}"
            )
        left, upper = (image.width - side) // 2, (image.height - side) // 2
        return image.crop((left, upper, left + side, upper + side))


def stored_size(encoded: bytes) -> tuple[int, int]:
    """Returns height and width of an encoded image, turned upright, from its header.

    Raises:
      Exception: any that Pillow raises for a damaged header or too large an image.
    """
    with _opened(encoded) as image:
        return image.size if _orientation(image) in (5, 6, 7, 8) else image.size[::-1]


def _opened(encoded: bytes) -> PIL.Image.Image:
    """Opens an encoded image, and refuses one whose header promises more than it can hold."""
    image = PIL.Image.open(io.BytesIO(encoded), formats=_known_formats())
    pixels = image.width * image.height
    if pixels > max(SMALL, DENSEST * len(encoded)):
        raise ValueError(
            f"its header promises {image.height}x{image.width} pixels in {len(encoded)} bytes"
        )
    return image


@functools.cache
def _known_formats() -> tuple[str, ...]:
    """Returns the formats that this version of Pillow has."""
    PIL.Image.init()
    return tuple(name for name in FORMATS if name in PIL.Image.OPEN)


def pad_to_square(image: np.ndarray, size: int) -> np.ndarray:
    """Centres an image on zeros; the right and lower margins take the odd pixel."""
    height, width, _ = image.shape
    if size < max(height, width):
        raise ValueError(f"`size` must hold an image of {height}x{width}: got {size}")
    upper, left = (size - height) // 2, (size - width) // 2
    margins = ((upper, size - height - upper), (left, size - width - left), (0, 0))
    return np.pad(image, margins)


def _orientation(image: PIL.Image.Image) -> int:
    return image.getexif().get(PIL.ExifTags.Base.Orientation, 1)
