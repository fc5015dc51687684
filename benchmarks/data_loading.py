"""Do batches come as fast as the network trains, wherever the decoded images are kept?

    python -m benchmarks.data_loading ~/tensorflow_datasets

Counts images per second of CIFAR-10, in batches of 128, shuffled, flipped and dequantized: kept on
the device, in a memory-mapped file, and streamed by worker processes; and of training steps of a
small U-Net on one batch. Checks that all three give the same batches. Prints a row of the table in
README.md.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.mnist_vp import experiment
from sde_jax.data.source import Batch, DataSource
from sde_jax.data.storage import Storage
from sde_jax.data.tfds import TfdsImages

BATCH = 128
READ_AHEAD = 40
SECONDS = 10.0


def rate(step: Callable[[], Any], warm_up: int) -> float:
    """Images per second of ``step``, which makes or uses a batch, without the first ones."""
    for _ in range(warm_up):
        jax.block_until_ready(step())
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        jax.block_until_ready(step())
        count += 1
    return count * BATCH / (time.perf_counter() - started)


def training_step(source: DataSource, batch: Batch) -> Callable[[], Any]:
    """Updates the narrow U-Net of the MNIST experiment, in colour, on the same batch again."""
    learner = experiment.learner(source.shape)
    update = jax.jit(learner.update, donate_argnums=0)
    state, key = learner.init(jax.random.key(0)), jax.random.key(1)

    def step() -> Any:
        nonlocal state
        state, metrics = update(state, key, batch)
        return metrics

    return step


def main() -> None:
    """Measures all and prints a row."""
    rates, firsts = [], []
    with tempfile.TemporaryDirectory() as folder:
        for keep in ("device", "cache", "stream"):
            storage = Storage(keep=keep, folder=folder)
            data = TfdsImages(name="cifar10", data_dir=sys.argv[1], flip=True, storage=storage)
            source = data.load()
            batches = source.stream(jax.random.key(2), "train", BATCH)
            firsts.append(next(batches))
            rates.append(rate(lambda batches=batches: next(batches), READ_AHEAD))
            del batches
    for other in firsts[1:]:
        np.testing.assert_array_equal(firsts[0].x, other.x)
    rates.append(rate(training_step(source, firsts[0]), 2))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    columns = " | ".join(f"{value:,.0f}" for value in rates)
    print(
        f"| CIFAR-10, batch {BATCH} | {columns} | {storage.resolved_workers()} | "
        f"{jax.devices()[0].device_kind} | {jax.__version__} | {commit.stdout.strip()} |"
    )


if __name__ == "__main__":
    main()
