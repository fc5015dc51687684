"""Do batches come as fast as the network trains, wherever the decoded images are kept?

    python -m benchmarks data_loading --data-dir ~/tensorflow_datasets

Images per second of CIFAR-10, in batches of 128, shuffled, flipped and dequantized: kept on the
device, in a memory-mapped file, and streamed by worker processes, against training steps of a
U-Net of .18 M parameters, which is less than anybody trains on them.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from benchmarks.ddpmpp import drawn, first_state
from benchmarks.row import Asked, Row, Spread, spread
from experiments.cifar10 import cifar10_vp
from sde_jax.data import Batch, DataNotFoundError, DataSource, Storage, TfdsImages
from sde_jax.nets import NCSNppSpec
from sde_jax.training.compiled import update_options

BATCH = 128
READ_AHEAD = 40
"""Batches that may be ready before anything is timed."""
SECONDS = 2.0
"""Of a repeat."""
NARROW = NCSNppSpec(channels=16, multipliers=(1, 2), blocks_per_level=1, attention_resolutions=())
KEPT = {"device": "on the device", "cache": "memory-mapped", "stream": "streamed"}


def rows(asked: Asked) -> Iterator[Row]:
    """A row for each place that images are kept in; all must give the same batches."""
    if asked.data_dir is None:
        yield row("wherever they are kept", missing="--data-dir DIR")
        return
    repeats, firsts, rates = 2 if asked.quick else 5, [], []
    part = "[:10%]" if asked.quick else ""
    with tempfile.TemporaryDirectory() as folder:
        for keep in KEPT:
            storage = Storage(keep=keep, folder=folder)
            data = TfdsImages(
                name="cifar10",
                data_dir=str(asked.data_dir),
                flip=True,
                storage=storage,
                train_split=f"train{part}",
                test_split=f"test{part}",
            )
            try:
                source = data.load()
            except DataNotFoundError as error:
                yield row("wherever they are kept", missing=" ".join(str(error).split()))
                return
            batches = source.stream(jax.random.key(2), "train", BATCH)
            firsts.append(next(batches))
            rates.append(rate(lambda batches=batches: next(batches), READ_AHEAD, repeats))
            del batches
    for other in firsts[1:]:
        np.testing.assert_array_equal(firsts[0].x, other.x)
    trained = rate(training_step(source, firsts[0]), 2, repeats)
    for where, found in zip(KEPT.values(), rates, strict=True):
        checked = f"its first batch is that of all {len(KEPT)} ways, bitwise"
        yield row(where, ours=found, theirs=trained, checked=checked)


def row(
    where: str,
    *,
    ours: Spread | None = None,
    theirs: Spread | None = None,
    missing: str = "",
    checked: str = "",
) -> Row:
    """Images kept in one place."""
    return Row(
        case=f"CIFAR-10 {where}, batches of {BATCH}",
        unit="images/s",
        ours=ours,
        peer="training steps of a U-Net of 16 channels",
        theirs=theirs,
        missing=missing,
        ratio=Spread.of(ours.value / theirs.value) if ours and theirs else None,
        at_least=1.0,
        checked=checked,
    )


def rate(step: Callable[[], Any], warm_up: int, repeats: int) -> Spread:
    """Images per second of ``step``, which makes or uses a batch, without the first ones."""
    for _ in range(warm_up):
        jax.block_until_ready(step())
    return spread([one_rate(step) for _ in range(repeats)])


def one_rate(step: Callable[[], Any]) -> float:
    """Of as many steps as there are in a repeat."""
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        jax.block_until_ready(step())
        count += 1
    return count * BATCH / (time.perf_counter() - started)


def training_step(source: DataSource, batch: Batch) -> Callable[[], Any]:
    """Updates the U-Net on the same batch again."""
    learner = dataclasses.replace(cifar10_vp(), network=NARROW).learner(source.shape)
    options = update_options(jax.default_backend())
    update = jax.jit(learner.update, donate_argnums=0, compiler_options=options)
    shapes = jax.eval_shape(learner.init, jax.random.key(0))
    state, key = first_state(learner, drawn(shapes.params)), jax.random.key(1)

    def step() -> Any:
        nonlocal state
        state, metrics = update(state, key, batch)
        return metrics

    return step
