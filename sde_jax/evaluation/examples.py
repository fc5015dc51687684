"""The examples of a split in order, with their exact levels."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from sde_jax.data import DataSource


class Examples(NamedTuple):
    """A batch of examples."""

    data: np.ndarray
    """Data in their own unit (`Scaling.to_unit`), in float32."""
    labels: np.ndarray | None
    """Classes of the examples; None for data without classes."""


def read_examples(
    source: DataSource, split: str, *, count: int | None = None, batch_size: int = 256
) -> Iterator[Examples]:
    """Yields the first ``count`` examples (None: all) of a split once, the last batch partial."""
    for batch in source.batches(jax.random.key(0), split, batch_size, count=count):
        data = np.asarray(source.scaling.to_unit(batch.x), np.float32)
        yield Examples(data, None if batch.label is None else np.asarray(batch.label))


def examples_sha256(source: DataSource, split: str, count: int) -> str:
    """Returns the SHA-256 of the first ``count`` examples and their labels."""
    digest = hashlib.sha256()
    for data, labels in read_examples(source, split, count=count):
        digest.update(data.astype("<f4").tobytes())
        digest.update(b"" if labels is None else labels.astype("<i4").tobytes())
    return digest.hexdigest()
