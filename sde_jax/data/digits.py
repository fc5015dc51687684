"""The handwritten digits that come with scikit-learn: data at hand without a download."""

import dataclasses

import numpy as np

from sde_jax.data.array_source import ArraySource
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import DataSpec

__all__ = ["Digits"]

TRAIN_SIZE = 1500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Digits(DataSpec):
    """1797 handwritten digits, 8x8x1 with 17 grey levels, the test set of UCI's ``optdigits``.

    The first 1500 in scikit-learn's order train, the last 297 are the test split. The order goes by
    writer, about 130 digits each, so most of the test split is by people unseen in training.
    Labels are the digits.
    """

    def load(self) -> ArraySource:
        """Reads the images from the installed scikit-learn."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images, labels = digits.images[..., None].astype(np.uint8), digits.target
        splits = {"train": slice(TRAIN_SIZE), "test": slice(TRAIN_SIZE, None)}
        return ArraySource(
            {split: images[part] for split, part in splits.items()},
            {split: labels[part] for split, part in splits.items()},
            scaling=ImageScaling(levels=17),
        )
