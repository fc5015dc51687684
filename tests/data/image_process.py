"""Work with images in a process of its own, to be killed.

``python image_process.py cache FOLDER`` decodes slowly into the cache in FOLDER.
``python image_process.py stream FOLDER START COUNT WORKERS`` prints a hash of each batch of a
stream, once it has printed the processes that it has started.
"""

import dataclasses
import hashlib
import multiprocessing
import signal
import sys
import time
from pathlib import Path

import jax
import numpy as np
from png_records import PngRecords, pictures, png_records

from sde_jax.data.image_cache import ImageCache
from sde_jax.data.storage import Storage, open_images
from sde_jax.data.transform import DequantizeAndFlip

IMAGES = pictures(400)
BROKEN = (1, 399)
BATCH, SEED = 16, 5


@dataclasses.dataclass(frozen=True, eq=False)
class SlowRecords(PngRecords):
    """Records that take a millisecond each."""

    def read(self, indices):
        time.sleep(1e-3 * len(indices))
        return super().read(indices)


def slow_records():
    return SlowRecords(**vars(png_records(IMAGES, broken=BROKEN)))


def hash_of(batch):
    return hashlib.sha256(bytes(memoryview(batch))).hexdigest()


def stream(folder, start, count, workers):

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    source = open_images(
        {"train": slow_records()},
        Storage(keep="stream", folder=folder, workers=workers),
        DequantizeAndFlip(flip=True),
    )
    batches = source.stream(jax.random.key(SEED), "train", BATCH, start=start)
    for number in range(count):
        batch = next(batches)
        if not number:
            print(*[child.pid for child in multiprocessing.active_children()], flush=True)
        print(hash_of(np.asarray(batch.x)), flush=True)


if __name__ == "__main__":
    what, folder, *numbers = sys.argv[1:]
    if what == "cache":
        ImageCache(folder=Path(folder), threads=1).images(slow_records())
    else:
        stream(folder, *map(int, numbers))
