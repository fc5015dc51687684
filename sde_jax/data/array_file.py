"""Images in an .npz file."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np

from sde_jax.atomic import whole_file
from sde_jax.data.array_source import ArraySource
from sde_jax.data.errors import DataNotFoundError
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import DataSpec, Layout
from sde_jax.data.splits import TEST, TRAIN
from sde_jax.numpy_files import Arrays, ArraysError

HELD_OUT_SHARE, MOST_HELD_OUT = 0.1, 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArrayFile(DataSpec):
    """Images of an .npz file with the arrays ``train`` and ``test``."""

    path: str
    """The file."""
    shape: tuple[int, ...]
    """Height, width and channels of an image."""
    sha256: str
    """SHA-256 of the images, which distinguishes data sets."""
    flip: bool = False
    """Mirrors training images left to right with probability one half."""

    @classmethod
    def of(cls, splits: Mapping[str, np.ndarray], path: Path) -> Self:
        """Describes the file ``path`` of these splits, which `write` writes."""
        shape = splits[TRAIN].shape[1:]
        return cls(path=str(path.resolve()), shape=shape, sha256=digest(splits))

    def write(self, splits: Mapping[str, np.ndarray]) -> None:
        """Writes the file."""
        with whole_file(Path(self.path)) as file:
            np.savez(file, train=splits[TRAIN], test=splits[TEST])

    def layout(self) -> Layout:
        """Returns shape and scaling; the file is not read."""
        return Layout(self.shape, ImageScaling())

    def in_run(self, folder: Path) -> Self:
        """Returns the spec of the file of this name in ``folder``, if there is one.

        A run that holds its data thereby finds them after it was moved.
        """
        own = folder.resolve() / Path(self.path).name
        return dataclasses.replace(self, path=str(own)) if own.is_file() else self

    def load(self) -> ArraySource:
        """Reads the file.

        Raises:
          DataNotFoundError: if it is not there, or holds other images.
        """
        try:
            with Arrays(self.path) as file:
                images = {split: file[split] for split in (TRAIN, TEST)}
        except OSError as error:
            raise DataNotFoundError(f"{self.path} cannot be read: {error.strerror}") from None
        except KeyError as error:
            raise DataNotFoundError(f"{self.path} has no array {error}") from None
        except ArraysError as error:
            raise DataNotFoundError(str(error)) from None
        if digest(images) != self.sha256:
            raise DataNotFoundError(
                f"{self.path} holds other images than the run was trained on: restore the file."
            )
        return ArraySource(images, flip=self.flip)


def held_out_splits(images: np.ndarray) -> dict[str, np.ndarray]:
    """Splits images into ``train`` and ``test``: a random tenth, at most 10,000, is held out."""
    order = np.random.default_rng(0).permutation(len(images))
    held_out = min(max(round(HELD_OUT_SHARE * len(images)), 1), MOST_HELD_OUT)
    return {TRAIN: images[order[held_out:]], TEST: images[order[:held_out]]}


def digest(splits: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 of the images of both splits."""
    hashed = hashlib.sha256()
    for split in (TRAIN, TEST):
        hashed.update(np.ascontiguousarray(splits[split]).tobytes())
    return hashed.hexdigest()
