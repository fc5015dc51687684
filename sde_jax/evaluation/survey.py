"""What is in a set of images, found by looking at every one."""

import collections
import concurrent.futures
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from sde_jax.data import BrokenImageError, EncodedRecords
from sde_jax.metrics import largest_distance

BULK = 64
"""Images that a thread reads at once."""

KEPT_IMAGES = 4096
KEPT_BYTES = 2**28
"""What is kept at most for the largest distance, drawn at random."""

Size = tuple[int, int]


class Look(NamedTuple):
    """What is kept of some images that were read."""

    indices: list[int]
    """Those that are whole."""
    sizes: list[Size]
    """Of each of them, as it is stored."""
    levels: np.ndarray
    """Of each channel, how often each level occurs."""
    kept: np.ndarray
    """Those of them that were drawn."""
    broken: list[str]


@dataclass(frozen=True)
class Survey:
    """What was found; levels and distances are of preprocessed images."""

    counts: dict[str, int]
    """Whole images by split."""
    broken: list[str]
    """What is wrong with the others."""
    sizes: collections.Counter[Size]
    """Images of each stored height and width."""
    levels: np.ndarray
    """Of each channel, how often each of 256 levels occurs."""
    classes: collections.Counter[int] | None
    """Images of each class, where there are classes."""
    examples: np.ndarray
    """Images drawn at random, all of them where they are few: uint8 [count, height, width, c]."""

    @property
    def whole(self) -> int:
        """Images that can be read."""
        return sum(self.counts.values())

    @property
    def range(self) -> tuple[int, int]:
        """The lowest and the highest level."""
        occurring = np.flatnonzero(self.levels.sum(axis=0))
        return int(occurring[0]), int(occurring[-1])

    @property
    def mean(self) -> np.ndarray:
        """Of the levels of each channel."""
        return np.average(np.tile(np.arange(256), (len(self.levels), 1)), 1, self.levels)

    @property
    def deviation(self) -> np.ndarray:
        """Of the levels of each channel."""
        squares = (np.arange(256) - self.mean[:, None]) ** 2
        return np.sqrt(np.average(squares, 1, self.levels))

    def largest_distance(self) -> float:
        """Between two of the examples, in [-1, 1]."""
        return largest_distance(self.examples.reshape(len(self.examples), -1)) * 2 / 255


def survey(records: Mapping[str, EncodedRecords]) -> Survey:
    """Reads all images, several at once.

    Raises:
      ValueError: if none can be read.
    """
    total = sum(map(len, records.values()))
    height, width, channels = next(iter(records.values())).shape
    kept = min(total, KEPT_IMAGES, max(2, KEPT_BYTES // (height * width * channels)))
    drawn = np.zeros(total, bool)
    drawn[np.random.default_rng(0).permutation(total)[:kept]] = True
    ends = np.cumsum([len(of_split) for of_split in records.values()])
    draws = dict(zip(records, np.split(drawn, ends[:-1]), strict=True))
    looks = {split: looks_at(of_split, draws[split]) for split, of_split in records.items()}
    with tqdm(total=total, unit=" images", desc="look") as progress:
        found = {split: list(counted(some, progress)) for split, some in looks.items()}
    everything = [look for of_split in found.values() for look in of_split]
    if not any(look.indices for look in everything):
        raise ValueError(f"none of the {total} images can be read: {everything[0].broken[0]}")
    return Survey(
        counts={split: sum(len(look.indices) for look in some) for split, some in found.items()},
        broken=[message for look in everything for message in look.broken],
        sizes=collections.Counter(size for look in everything for size in look.sizes),
        levels=np.sum([look.levels for look in everything], axis=0),
        classes=classes(records, found),
        examples=np.concatenate([look.kept for look in everything]),
    )


def counted(looks: Iterator[Look], progress: Any) -> Iterator[Look]:
    """The same, while the bar moves."""
    for look in looks:
        progress.update(len(look.indices) + len(look.broken))
        yield look


def looks_at(records: EncodedRecords, drawn: np.ndarray) -> Iterator[Look]:
    """All images of a split, in order, ``BULK`` at a time."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        starts = range(0, len(records), BULK)
        yield from pool.map(lambda first: look_at(records, drawn, first), starts)


def look_at(records: EncodedRecords, drawn: np.ndarray, first: int) -> Look:
    """The images from ``first`` on."""
    asked = range(first, min(first + BULK, len(records)))
    read = dict(zip(asked, records.read(asked), strict=True))
    images = {i: image for i, image in read.items() if not isinstance(image, BrokenImageError)}
    sizes = records.stored_sizes(list(images))
    channels = records.shape[2]
    stacked = np.array(list(images.values()), np.uint8).reshape(-1, *records.shape)
    return Look(
        indices=list(images),
        sizes=[size for size in sizes if not isinstance(size, BrokenImageError)],
        levels=np.stack(
            [np.bincount(stacked[..., c].ravel(), minlength=256) for c in range(channels)]
        ),
        kept=stacked[[bool(drawn[i]) for i in images]],
        broken=[str(image) for image in read.values() if isinstance(image, BrokenImageError)],
    )


def classes(
    records: Mapping[str, EncodedRecords], found: Mapping[str, list[Look]]
) -> collections.Counter[int] | None:
    """Whole images of each class."""
    counter: collections.Counter[int] = collections.Counter()
    for split, of_split in records.items():
        if of_split.labels is None:
            return None
        for look in found[split]:
            counter.update(of_split.labels[look.indices].tolist())
    return counter
