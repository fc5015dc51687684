"""Compares the loading rate of batches with the training rate of a network, for each storage.

    python -m benchmarks data_loading --data-dir ~/tensorflow_datasets

A row compares the images per second of CIFAR-10, in batches of 128, shuffled, flipped and
dequantized, with training steps of a U-Net of .18 M parameters, which is smaller than any practical
one. Decoded images are on the device, in a memory-mapped file, or streamed by worker processes.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from benchmarks.row import BenchmarkOptions, Row, Spread, spread
from benchmarks.training_step import TrainingStep
from experiments.cifar10 import cifar10_vp
from sde_jax.data import DataNotFoundError, Storage, TfdsImages
from sde_jax.nets import NCSNppSpec

BATCH = 128
READ_AHEAD = 40
"""Batches that may be prefetched before the timing starts."""
SECONDS = 2.0
"""Duration of a repeat."""
NARROW = NCSNppSpec(channels=16, multipliers=(1, 2), blocks_per_level=1, attention_resolutions=())
STORAGES = {"device": "on the device", "cache": "memory-mapped", "stream": "streamed"}


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Yields a row for each storage; all must give the same batches."""
    if options.data_dir is None:
        yield row("wherever they are kept", missing="--data-dir DIR", checked="")
        return
    repeats, first_batches, rates = 2 if options.quick else 5, [], []
    part = "[:10%]" if options.quick else ""
    with tempfile.TemporaryDirectory() as folder:
        for keep in STORAGES:
            data = TfdsImages(
                name="cifar10",
                data_dir=str(options.data_dir),
                flip=True,
                storage=Storage(keep=keep, folder=folder),
                train_split=f"train{part}",
                test_split=f"test{part}",
            )
            try:
                source = data.load()
            except DataNotFoundError as error:
                reason = " ".join(str(error).split())
                yield row("wherever they are kept", missing=reason, checked="")
                return
            batches = source.stream(jax.random.key(2), "train", BATCH)
            first_batches.append(next(batches))
            rates.append(rate(lambda batches=batches: next(batches), READ_AHEAD, repeats))
            del batches
    for other in first_batches[1:]:
        np.testing.assert_array_equal(first_batches[0].x, other.x)
    learner = dataclasses.replace(cifar10_vp(), network=NARROW).learner(source.shape)
    training_rate = rate(TrainingStep(learner, first_batches[0]), 2, repeats)
    for where, loading_rate in zip(STORAGES.values(), rates, strict=True):
        yield row(
            where,
            ours=loading_rate,
            theirs=training_rate,
            ratio=Spread.of(loading_rate.value / training_rate.value),
            checked=f"its first batch is that of all {len(STORAGES)} ways, bitwise",
        )


def row(where: str, **results: Any) -> Row:
    """Builds the row of one storage."""
    case, peer = f"CIFAR-10 {where}, batches of {BATCH}", "training steps of a U-Net of 16 channels"
    return Row(case=case, unit="images/s", peer=peer, at_least=1.0, **results)


def rate(step: Callable[[], Any], warm_up: int, repeats: int) -> Spread:
    """Returns the images per second of ``step``, which makes or uses a batch, after a warm-up."""
    for _ in range(warm_up):
        jax.block_until_ready(step())
    return spread([one_rate(step) for _ in range(repeats)])


def one_rate(step: Callable[[], Any]) -> float:
    """Returns the images per second of one repeat."""
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        jax.block_until_ready(step())
        count += 1
    return count * BATCH / (time.perf_counter() - started)
