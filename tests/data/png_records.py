"""Records of PNG files in memory, some of them broken; pickled into other processes."""

import dataclasses
import io

import numpy as np
import PIL.Image

from sde_jax.data import BrokenImageError


def pictures(count, shape=(4, 6, 1), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def encoded(image):
    file = io.BytesIO()
    PIL.Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, "png")
    return file.getvalue()


@dataclasses.dataclass(frozen=True, eq=False)
class PngRecords:
    """See `EncodedRecords`; the broken ones are files cut short."""

    files: list
    shape: tuple
    labels: np.ndarray | None
    fingerprint: str

    def __len__(self):
        return len(self.files)

    def read(self, indices):
        return [self._image(index) for index in indices]

    def _image(self, index):
        try:
            image = PIL.Image.open(io.BytesIO(self.files[index]))
            return np.asarray(image).reshape(self.shape)
        except OSError:
            return BrokenImageError(f"picture {index}: cut short")


def png_records(images, *, broken=(), labels=None, fingerprint="pictures"):
    files = [encoded(image) for image in images]
    for index in broken:
        files[index] = files[index][:-30]
    return PngRecords(files, images.shape[1:], labels, fingerprint)
