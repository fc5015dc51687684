"""Streams that processes of their own decode."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import image_process
import jax
import numpy as np
import pytest
from image_process import BATCH, SEED

from sde_jax.data import ArraySource
from sde_jax.data.decoding import DecodedImages, batches_ahead
from sde_jax.data.rows import HostRows
from sde_jax.data.source import DataSource
from sde_jax.data.transform import DequantizeAndFlip

ROOT = Path(__file__).parents[2]
COUNT, WORKERS = 60, 2
DEADLINE = 60


def expected_hashes(count):
    good = np.delete(image_process.IMAGES, image_process.BROKEN, axis=0)
    source = ArraySource({"train": good}, flip=True)
    batches = source.stream(jax.random.key(SEED), "train", BATCH)
    return [image_process.hash_of(np.asarray(b.x)) for b in itertools.islice(batches, count)]


def start(folder, *numbers):
    return subprocess.Popen(
        [sys.executable, image_process.__file__, "stream", str(folder), *map(str, numbers)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def has_ended(pid):
    """Whether a process is gone, or is about to be buried by whoever took it over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def hashes_until_killed(folder, processes):
    """Of the first batches; then everybody has ended.

    The signal that a scheduler sends to all does not end those who decode; a kill does.
    """
    process = start(folder, 0, 10**6, processes)
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(workers) == processes
    os.killpg(process.pid, signal.SIGTERM)
    seen = [process.stdout.readline().strip() for _ in range(COUNT)]
    process.kill()
    process.stdout.close()
    process.stderr.close()
    process.wait()
    deadline = time.monotonic() + DEADLINE
    while not all(map(has_ended, workers)):
        assert time.monotonic() < deadline, "a process that decodes outlived its parent"
        time.sleep(0.05)
    return seen


in_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc"
)


@in_proc
def test_a_stream_of_a_process_ends_when_it_is_killed(tmp_path):
    assert hashes_until_killed(tmp_path, 1) == expected_hashes(COUNT)


@in_proc
@pytest.mark.slow("test_a_stream_of_a_process_ends_when_it_is_killed")
def test_a_killed_stream_goes_on_at_the_exact_example(tmp_path):
    expected = expected_hashes(COUNT + 3)
    assert hashes_until_killed(tmp_path, WORKERS) == expected[:COUNT]
    output, errors = start(tmp_path, COUNT, 3, 1).communicate()
    workers, *hashes = output.splitlines()
    assert hashes == expected[COUNT:]
    assert errors.count("\n") == 1 + len(image_process.BROKEN) + 1, errors
    assert all(map(has_ended, workers.split()))


@pytest.mark.slow("test_fewer_large_batches_wait_than_small_ones")
@pytest.mark.parametrize("processes", [0, 2])
def test_memory_is_flat_over_three_hundred_steps(processes):
    """Of this process and those that decode; the batches would fill 118 MB as uint8."""
    images = image_process.pictures(64, (64, 64, 3))
    decoded = DecodedImages(records=image_process.png_records(images), good=np.arange(64))
    transform = DequantizeAndFlip(flip=True)
    source = DataSource(
        {"train": HostRows(images=decoded, threads=2, processes=processes)},
        transform,
        transform.for_evaluation,
        shape=decoded.records.shape,
        scaling=transform.scaling,
    )
    megabytes = []
    for number, batch in enumerate(source.stream(jax.random.key(SEED), "train", 32)):
        jax.block_until_ready(batch)
        if number % 15 == 14:
            pids = ["self", *(child.pid for child in multiprocessing.active_children())]
            megabytes.append(sum(map(resident_megabytes, pids)))
        if number == 300:
            break
    assert max(megabytes[10:]) < max(megabytes[:10]) + 40, megabytes


def resident_megabytes(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.parametrize(
    ("side", "batch", "ahead"), [(32, 128, 16), (256, 256, 10), (1024, 64, 2), (1024, 1024, 2)]
)
def test_fewer_large_batches_wait_than_small_ones(side, batch, ahead):
    class Blank:
        def __getitem__(self, indices):
            return np.zeros((len(indices), side, side, 3), np.uint8)

    assert batches_ahead(Blank(), batch) == ahead
