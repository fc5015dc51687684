"""Stored images as uint8 arrays, decoded or read ahead by grain."""

import contextlib
import dataclasses
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import parent_process
from typing import Protocol, TypeVar

import numpy as np

from sde_jax.data.encoded_records import EncodedRecords
from sde_jax.data.errors import BrokenImageError
from sde_jax.data.shuffle import BatchIndices

T = TypeVar("T")

CHUNK = 64
BATCHES_AHEAD = 16
BYTES_AHEAD = 2**29
"""Approximate size of the waiting batches. At least two wait, however large they are."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DecodedImages:
    """Images that are decoded whenever they are read, indexed like an array."""

    records: EncodedRecords
    """All images of the split."""

    good: np.ndarray
    """Indices of the records that can be decoded, in order."""

    def __len__(self) -> int:
        return len(self.good)

    def __getitem__(self, indices: np.ndarray, /) -> np.ndarray:
        """Raises BrokenImageError for an image that broke since it was checked."""
        images = np.empty((len(indices), *self.records.shape), np.uint8)
        for row, image in enumerate(self.records.read(self.good[indices])):
            if isinstance(image, BrokenImageError):
                raise image
            images[row] = image
        return images


class ImageArray(Protocol):
    """Images ``[count, height, width, channels]`` of whole numbers, indexed by their numbers."""

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, indices: np.ndarray, /) -> np.ndarray:
        """Returns the images of these numbers."""


def available_cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def decoded(records: EncodedRecords, threads: int) -> Iterator[np.ndarray | BrokenImageError]:
    """Yields each record or its error, in order; few are in memory at any time."""
    chunks = BatchIndices(len(records), CHUNK)
    for images in read_ahead(records.read, chunks, ahead=2 * threads, threads=threads):
        yield from images


def read_ahead(
    read: Callable[[np.ndarray], T],
    indices: BatchIndices,
    *,
    ahead: int,
    threads: int,
    processes: int = 0,
) -> Iterator[T]:
    """Yields ``read(indices[i])`` for each batch, in order, read before it is needed.

    Worker processes start afresh (no fork: JAX has threads), ignore signals to the parent, and end
    with it. They send batches through pipes, since shared memory in containers is often too small.

    Args:
      read: reads a batch; it is pickled to worker processes.
      indices: the indices of each batch.
      ahead: batches that wait.
      threads: threads of this process that read.
      processes: worker processes that read instead of the threads, if not 0.
    """
    import grain

    threads = 0 if processes else min(threads, ahead)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
    batches = grain.MapDataset.source(indices).map(read).to_iter_dataset(options)
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


def batches_ahead(images: ImageArray, count: int) -> int:
    """Returns how many batches of ``count`` images may wait."""
    size = count * images[np.arange(1)].nbytes if count else 0
    return min(BATCHES_AHEAD, max(2, BYTES_AHEAD // max(size, 1)))


def _let_grain_read_flags() -> None:
    """Marks absl's flags as parsed: grain reads them, which fails in programs without absl."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def _attend_parent(number: int, count: int) -> None:
    """Ends with the parent and ignores signals, which schedulers send to all processes."""
    for number_of_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number_of_signal, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
