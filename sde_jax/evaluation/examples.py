"""The examples of a split as they are: their exact levels, in order, none left out."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from sde_jax.data.source import DataSource


class Examples(NamedTuple):
    """Some examples."""

    data: np.ndarray
    """In their own unit (`Scaling.to_unit`), in float32."""
    labels: np.ndarray | None
    """Their classes, if they have any."""


def examples(
    source: DataSource, split: str, *, count: int | None = None, batch_size: int = 256
) -> Iterator[Examples]:
    """The first ``count`` examples (None: all) of ``split``, once, the last batch partial."""
    for batch in source.batches(jax.random.key(0), split, batch_size, count=count):
        data = np.asarray(source.scaling.to_unit(batch.x), np.float32)
        yield Examples(data, None if batch.label is None else np.asarray(batch.label))


def examples_sha256(source: DataSource, split: str, count: int) -> str:
    """The SHA-256 of the first ``count`` examples, labels included."""
    digest = hashlib.sha256()
    for data, labels in examples(source, split, count=count):
        digest.update(data.astype("<f4").tobytes())
        digest.update(b"" if labels is None else labels.astype("<i4").tobytes())
    return digest.hexdigest()
