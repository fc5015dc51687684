"""The handwritten digits that scikit-learn installs, available without a download."""

import dataclasses
import gzip
import importlib.util
from pathlib import Path

import numpy as np

from sde_jax.data.array_source import ArraySource
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import DataSpec
from sde_jax.data.splits import TEST, TRAIN

TRAIN_SIZE = 1500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Digits(DataSpec):
    """1797 handwritten digits, 8x8x1 with 17 grey levels, the test set of UCI's ``optdigits``.

    The first 1500 in scikit-learn's order are the train split, the last 297 the test split. Each
    writer's digits, about 130, follow each other, so most of the test split is by people unseen in
    training.
    Labels are the digits.
    """

    coloured: bool = False
    """Give each digit a colour of its own, the same each time, on three channels."""

    dequantize: bool = True
    """Spread grey levels over their bins in training."""

    def load(self) -> ArraySource:
        """Reads the images from the installed scikit-learn."""
        rows = table()
        images, labels = rows[:, :-1].reshape(-1, 8, 8, 1), rows[:, -1].astype(np.int64)
        if self.coloured:
            images = np.rint(images * colours(len(images))[:, None, None]).astype(np.uint8)
        splits = {TRAIN: slice(TRAIN_SIZE), TEST: slice(TRAIN_SIZE, None)}
        return ArraySource(
            {split: images[part] for split, part in splits.items()},
            {split: labels[part] for split, part in splits.items()},
            scaling=ImageScaling(levels=17),
            dequantize=self.dequantize,
        )


def table() -> np.ndarray:
    """Returns a row of each digit, its 64 grey levels and its label, from scikit-learn's own file:
    importing scikit-learn takes eight times as long as reading it."""
    found = importlib.util.find_spec("sklearn")
    assert found is not None and found.origin is not None, "sde_jax depends on scikit-learn"
    path = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path) as file:
        return np.loadtxt(file, delimiter=",", dtype=np.uint8)


def colours(count: int) -> np.ndarray:
    """Returns pure hues ``[count, 3]`` in [0, 1], evenly spread; neighbours differ much."""
    turns = np.arange(count)[:, None] * 0.618034 - np.arange(3)[None] / 3
    waves = 0.5 + 0.5 * np.cos(2 * np.pi * turns)
    return waves / waves.max(axis=1, keepdims=True)
