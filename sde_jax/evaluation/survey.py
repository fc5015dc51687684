"""A survey of all images of a data set."""

import collections
import concurrent.futures
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from sde_jax.data import BrokenImageError, EncodedRecords
from sde_jax.metrics import largest_distance

BULK = 64
"""Number of images that a thread reads at once."""

KEPT_IMAGES = 4096
KEPT_BYTES = 2**28
"""Limits of the random examples that the largest distance is computed from."""

Size = tuple[int, int]


class Look(NamedTuple):
    """Summary of the images that a thread read."""

    whole: int
    """Number of whole images."""
    sizes: list[Size]
    """Stored size of each whole image."""
    labels: np.ndarray
    """Class of each whole image; empty for images without classes."""
    levels: np.ndarray
    """Number of pixels by channel and level."""
    kept: np.ndarray
    """The images that were drawn at random."""
    broken: list[str]
    """Message for each broken image."""


@dataclass(frozen=True)
class Survey:
    """Summary of all images; levels and distances are those of preprocessed images."""

    counts: dict[str, int]
    """Number of whole images by split."""
    broken: list[str]
    """Message for each broken image."""
    sizes: collections.Counter[Size]
    """Number of images by stored height and width."""
    levels: np.ndarray
    """Number of pixels by channel and level, ``[channels, 256]``."""
    classes: collections.Counter[int] | None
    """Number of images by class; None for images without classes."""
    examples: np.ndarray
    """Random images, or all images of a small set: uint8 ``[count, height, width, channels]``."""

    @property
    def range(self) -> tuple[int, int]:
        """The lowest and the highest level."""
        occurring = np.flatnonzero(self.levels.sum(axis=0))
        return int(occurring[0]), int(occurring[-1])

    @property
    def mean(self) -> np.ndarray:
        """Mean level of each channel."""
        return np.average(np.tile(np.arange(256), (len(self.levels), 1)), 1, self.levels)

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of the levels of each channel."""
        squares = (np.arange(256) - self.mean[:, None]) ** 2
        return np.sqrt(np.average(squares, 1, self.levels))

    def largest_distance(self) -> float:
        """Returns the largest distance between two examples in [-1, 1]."""
        return largest_distance(self.examples.reshape(len(self.examples), -1)) * 2 / 255


def survey(records: Mapping[str, EncodedRecords]) -> Survey:
    """Reads all images in several threads.

    Raises:
      ValueError: if no image can be read.
    """
    total = sum(map(len, records.values()))
    drawn = drawn_examples(total, next(iter(records.values())).shape)
    ends = np.cumsum([len(of_split) for of_split in records.values()])
    looks: dict[str, list[Look]] = {}
    with tqdm(total=total, unit=" images", desc="look") as progress:
        for split, of_split in zip(records, np.split(drawn, ends[:-1]), strict=True):
            looks[split] = []
            for look in looks_at(records[split], of_split):
                looks[split].append(look)
                progress.update(look.whole + len(look.broken))
    every = [look for of_split in looks.values() for look in of_split]
    broken = [message for look in every for message in look.broken]
    if not any(look.whole for look in every):
        raise ValueError(f"none of the {total} images can be read: {broken[0]}")
    labelled = all(of_split.labels is not None for of_split in records.values())
    return Survey(
        counts={split: sum(look.whole for look in some) for split, some in looks.items()},
        broken=broken,
        sizes=collections.Counter(size for look in every for size in look.sizes),
        levels=np.sum([look.levels for look in every], axis=0),
        classes=collections.Counter(c for look in every for c in look.labels.tolist())
        if labelled
        else None,
        examples=np.concatenate([look.kept for look in every]),
    )


def drawn_examples(total: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns a mask of ``total`` images that marks random examples."""
    kept = min(total, KEPT_IMAGES, max(2, KEPT_BYTES // int(np.prod(shape))))
    drawn = np.zeros(total, bool)
    drawn[np.random.default_rng(0).permutation(total)[:kept]] = True
    return drawn


def looks_at(records: EncodedRecords, drawn: np.ndarray) -> Iterator[Look]:
    """Yields summaries of all images of a split, in order, ``BULK`` at a time."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        starts = range(0, len(records), BULK)
        yield from pool.map(lambda first: look_at(records, drawn, first), starts)


def look_at(records: EncodedRecords, drawn: np.ndarray, first: int) -> Look:
    """Returns the summary of ``BULK`` images from ``first`` on."""
    asked = range(first, min(first + BULK, len(records)))
    read = dict(zip(asked, records.read(asked), strict=True))
    images = {i: image for i, image in read.items() if not isinstance(image, BrokenImageError)}
    whole = list(images)
    sizes = records.stored_sizes(whole)
    stacked = np.array(list(images.values()), np.uint8).reshape(-1, *records.shape)
    channels = range(records.shape[2])
    return Look(
        whole=len(whole),
        sizes=[size for size in sizes if not isinstance(size, BrokenImageError)],
        labels=np.empty(0, int) if records.labels is None else records.labels[whole],
        levels=np.stack([np.bincount(stacked[..., c].ravel(), minlength=256) for c in channels]),
        kept=stacked[drawn[whole]],
        broken=[str(image) for image in read.values() if isinstance(image, BrokenImageError)],
    )
