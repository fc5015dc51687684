"""Stored images as uint8 rows, decoded or read ahead by grain. Imports no JAX: see `Shuffle`."""

import contextlib
import dataclasses
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import parent_process
from typing import Protocol

import numpy as np

from sde_jax.data.records import BrokenImageError, ImageRecords
from sde_jax.data.shuffle import Shuffle

__all__ = ["DecodedRows", "Rows", "ShuffledPicks", "available_cores", "decoded", "read_ahead"]

CHUNK = 64
BATCHES_AHEAD = 16
BYTES_AHEAD = 2**29
"""Of batches that wait, about: fewer where they are large, but two."""


class Rows(Protocol):
    """The good images of a split."""

    def __len__(self) -> int:
        """Number of images."""

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The images of these indices, uint8 ``[index, height, width, channels]``."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DecodedRows:
    """Images that are decoded whenever they are read."""

    records: ImageRecords
    """All of the split."""

    good: np.ndarray
    """Those that can be decoded, in their order."""

    def __len__(self) -> int:
        return len(self.good)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See `Rows`; raises BrokenImageError for one that could be decoded and no longer can."""
        images = np.empty((len(indices), *self.records.shape), np.uint8)
        for row, image in enumerate(self.records.read(self.good[indices].tolist())):
            if isinstance(image, BrokenImageError):
                raise image
            images[row] = image
        return images


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ShuffledPicks:
    """The examples of batch ``start``, ``start + 1``, ... of a stream that this process needs."""

    shuffle: Shuffle
    """The order of the examples."""

    batch_size: int
    """Of all processes together."""

    start: int
    """Number of the first batch."""

    places: np.ndarray
    """Which of a batch's examples this process needs."""

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, number: int) -> np.ndarray:
        first = (self.start + number) * self.batch_size
        return self.shuffle.indices(first, self.batch_size)[self.places]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Batches:
    """Batches by number, as grain reads them."""

    rows: Rows
    picks: Sequence[np.ndarray] | ShuffledPicks

    def __len__(self) -> int:
        return len(self.picks)

    def __getitem__(self, number: int) -> np.ndarray:
        return self.rows.read(self.picks[number])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Chunks:
    """All records by the chunk, as grain reads them."""

    records: ImageRecords

    def __len__(self) -> int:
        return -(-len(self.records) // CHUNK)

    def __getitem__(self, number: int) -> list[np.ndarray | BrokenImageError]:
        end = min((number + 1) * CHUNK, len(self.records))
        return self.records.read(range(number * CHUNK, end))


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def decoded(records: ImageRecords, threads: int) -> Iterator[np.ndarray | BrokenImageError]:
    """Each record or its error, in order; few are in memory at any time."""
    import grain

    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    chunks = iter(grain.MapDataset.source(_Chunks(records=records)).to_iter_dataset(options))
    with contextlib.closing(chunks):
        for chunk in chunks:
            yield from chunk


def read_ahead(
    rows: Rows, picks: Sequence[np.ndarray] | ShuffledPicks, *, threads: int = 0, processes: int = 0
) -> Iterator[np.ndarray]:
    """``rows.read(pick)`` for each pick, in order, read before they are asked for.

    By ``threads`` of this process, or by ``processes``, to which ``rows`` is pickled. These start
    afresh (no fork: JAX has threads), leave signals to this process, and end with it. Batches come
    from them through pipes: the shared memory of a container is often too small.
    """
    import grain

    ahead = batches_ahead(rows, picks)
    options = grain.ReadOptions(num_threads=min(threads, ahead), prefetch_buffer_size=ahead)
    batches = grain.MapDataset.source(_Batches(rows=rows, picks=picks)).to_iter_dataset(options)
    if processes:
        _let_grain_read_flags()
        options = grain.experimental.DatasetOptions(min_shm_size=sys.maxsize)
        batches = grain.experimental.WithOptionsIterDataset(batches, options)
        workers = grain.MultiprocessingOptions(
            num_workers=processes, per_worker_buffer_size=-(-ahead // processes)
        )
        batches = batches.mp_prefetch(workers, worker_init_fn=_attend_parent)
    with contextlib.closing(iter(batches)) as iterator:
        yield from iterator


def batches_ahead(rows: Rows, picks: Sequence[np.ndarray] | ShuffledPicks) -> int:
    """How many batches `read_ahead` has waiting."""
    first = picks[0] if len(picks) else np.empty(0, int)
    size = len(first) * (rows.read(first[:1]).nbytes if len(first) else 0)
    return min(BATCHES_AHEAD, max(2, BYTES_AHEAD // max(size, 1)))


def _let_grain_read_flags() -> None:
    """grain reads flags of absl, which refuses as long as no program has parsed its own."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def _attend_parent(number: int, count: int) -> None:
    """Leaves signals, which schedulers send to all processes, to the parent, and ends with it."""
    for number_of_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number_of_signal, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
