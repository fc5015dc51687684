"""Data sets, and their interface to training and evaluation."""

import abc
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import jax
import numpy as np
from jax.sharding import NamedSharding

from sde_jax.arrays import Array, Int, Key, PRNGKeyArray, PyTree
from sde_jax.data.placement import map_examples, partial_sharding, put
from sde_jax.data.rows import Rows
from sde_jax.data.scaling import Scaling
from sde_jax.data.shuffle import BatchIndices, Shuffle
from sde_jax.data.transform import Batch, Transform

ENDLESS = 2**31 - 1
"""The size of a split that has no end."""


class Layout(NamedTuple):
    """Shape and scaling of examples: enough to build a model without the data."""

    shape: tuple[int, ...]
    """Shape of one example."""

    scaling: Scaling
    """Map between model coordinates and the data's own values, with its log-determinant."""


class DataSource:
    """A data set: examples made from rows on the devices, each with a key of its own.

    With a ``sharding`` over the mesh's one axis batches come out sharded; a partial batch that the
    devices do not divide comes out replicated. The values depend neither on the devices nor on
    where the rows are.

    Args:
      rows: the rows by split.
      transform: the transform of ``stream``.
      evaluation: the transform of ``batches``, if it is another.
      shape: the shape of an example.
      scaling: map between model coordinates and the data's own values.
      fixed_keys: keys by split that ``batches`` uses instead of its argument.
      condition_size: number of entries of the conditioning vectors; None for data without.

    Attributes:
      sizes: number of examples in each split; `ENDLESS` for a split without an end.
      classes: one more than the largest label; None for data without labels.
    """

    def __init__(
        self,
        rows: Mapping[str, Rows],
        transform: Transform,
        evaluation: Transform | None = None,
        *,
        shape: tuple[int, ...],
        scaling: Scaling,
        fixed_keys: Mapping[str, PRNGKeyArray] | None = None,
        condition_size: int | None = None,
    ) -> None:
        self.rows = dict(rows)
        self.transform = transform
        self.evaluation = evaluation or transform
        self.shape = shape
        self.scaling = scaling
        self.condition_size = condition_size
        classes = [of_split.classes for of_split in rows.values() if of_split.classes is not None]
        self.classes = max(classes, default=None)
        self.sizes: Mapping[str, int] = {split: len(of_split) for split, of_split in rows.items()}
        self._fixed_keys = dict(fixed_keys or {})

    def stream(
        self,
        key: PRNGKeyArray,
        split: str,
        batch_size: int,
        *,
        start: int = 0,
        sharding: NamedSharding | None = None,
    ) -> Iterator[Batch]:
        """Yields shuffled batches without end, from number ``start`` on.

        Batch ``i`` is a function of ``(key, i)`` alone, so a resumed run sees the batches of an
        unbroken one. Every example comes once in each epoch; a batch may span two epochs.
        """
        size = check_request(self.sizes, split, batch_size)
        seed = np.asarray(jax.random.key_data(key)).ravel().tolist()
        indices = BatchIndices(size, batch_size, shuffle=Shuffle(seed, size), start=start)
        slots = np.arange(batch_size, dtype=np.uint32)
        placed = put(slots, partial_sharding(sharding, batch_size))
        noise = ((jax.random.fold_in(key, step), placed) for step in itertools.count(start))
        return self._batches(split, indices, noise, self.transform, sharding)

    def batches(
        self,
        key: PRNGKeyArray,
        split: str,
        batch_size: int,
        *,
        count: int | None = None,
        chosen: np.ndarray | None = None,
        sharding: NamedSharding | None = None,
    ) -> Iterator[Batch]:
        """Yields the first ``count`` examples (None: all) in order, once, the last batch partial;
        or those with the numbers ``chosen``.

        The noise of example ``j`` comes from ``fold_in(key, j)``, whatever the batch size.
        """
        size = check_request(self.sizes, split, batch_size)
        size = size if count is None else min(size, count)
        if chosen is not None:
            size, chosen = len(chosen), chosen.astype(np.uint32)
        indices = BatchIndices(size, batch_size, chosen=chosen)
        key = self._fixed_keys.get(split, key)
        noise = ((key, put(batch, partial_sharding(sharding, len(batch)))) for batch in indices)
        return self._batches(split, indices, noise, self.evaluation, sharding)

    def _batches(
        self,
        split: str,
        indices: BatchIndices,
        noise: Iterable[tuple[PRNGKeyArray, Int[Array, "batch"]]],
        transform: Transform,
        sharding: NamedSharding | None,
    ) -> Iterator[Batch]:
        rows = self.rows[split].read(indices, sharding)
        for (table, of_batch), (key, noise_ids) in zip(rows, noise, strict=False):
            placed = partial_sharding(sharding, len(noise_ids))
            yield _batch(table, of_batch, key, noise_ids, transform=transform, sharding=placed)


@functools.partial(jax.jit, static_argnames=("transform", "sharding"))
def _batch(
    table: PyTree,
    rows: PyTree,
    key: Key[Array, ""],
    noise_ids: Int[Array, "batch"],
    *,
    transform: Transform,
    sharding: NamedSharding | None,
) -> Batch:
    """Transforms each row with ``fold_in(key, noise_id)``; see `Rows.read` for the first two."""

    def example(shared: PyTree, one: PyTree) -> Batch:
        (table, key), (row, noise_id) = shared, one
        if table is not None:
            row = jax.tree.map(lambda column: column[row], table)
        return transform.sample(jax.random.fold_in(key, noise_id), *row)

    return map_examples(example, (table, key), (rows, noise_ids), sharding)


class DataSpec(abc.ABC):
    """A description of data: a frozen keyword-only dataclass of plain values."""

    @property
    def has_conditions(self) -> bool:
        """Says whether a network should take a vector or label of each example."""
        return False

    @abc.abstractmethod
    def load(self) -> DataSource:
        """Reads the data."""

    def layout(self) -> Layout:
        """Returns shape and scaling; reads the data unless the spec states them."""
        source = self.load()
        return Layout(source.shape, source.scaling)

    def measure(self) -> Self:
        """Returns the spec with all that its layout takes from the data, which it may read."""
        return self

    def fingerprint(self, split: str) -> str:
        """Returns a hash of the files of a split without reading all of it, or an empty string."""
        return ""

    def in_run(self, folder: Path) -> Self:
        """Returns the spec as the run in ``folder`` reads it, which may keep data of its own."""
        return self


def check_request(sizes: Mapping[str, int], split: str, batch_size: int) -> int:
    """Returns the number of examples in ``split``.

    Raises:
      ValueError: if there is no such split, or the batch is empty.
    """
    if split not in sizes:
        raise ValueError(f"`split` must be one of {', '.join(sizes)}: got {split!r}")
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1: got {batch_size}")
    return sizes[split]
