"""Tests of moments: merging in any way, rows by rows, against numpy's on all rows at once."""

import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from sde_jax.metrics.moments import StreamingMoments, merge, moments_of, without

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def rows():
    """Lopsided, far from the origin, with columns of different sizes."""
    noise = np.random.default_rng(3).normal(size=(5003, 4)) @ np.triu(np.ones((4, 4)))
    return 1000 + noise * [1, 0.1, 10, 3]


def hold(moments, rows):
    assert moments.count == len(rows)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(moments.covariance, np.cov(rows, rowvar=False), rtol=1e-11)


@pytest.mark.parametrize("cuts", [[], [1], [5002], [1, 2, 3, 4000], [*range(500, 5000, 500)]])
def test_any_parts_in_any_order_merge_to_the_same(rows, cuts):
    parts = [moments_of(part) for part in np.split(rows, cuts)]
    hold(merge(*parts), rows)
    hold(merge(*parts[::-1]), rows)
    one_by_one = parts[0]
    for part in parts[1:]:
        one_by_one = merge(part, one_by_one)
    hold(one_by_one, rows)


def test_leaving_out_undoes_merging(rows):
    part, others = moments_of(rows[:700]), moments_of(rows[700:])
    hold(without(merge(part, others), part), rows[700:])


@pytest.mark.parametrize("batch", [1001, 3, 5003])
def test_streamed_rows_are_of_the_same_groups_whatever_the_batches(rows, batch):
    rows = rows[:300] if batch == 3 else rows
    stream = StreamingMoments(4)
    for start in range(0, len(rows), batch):
        stream.add(rows[start : start + batch])
    groups = stream.result()
    assert len(groups) == 10
    for group, moments in enumerate(groups):
        hold(moments, rows[group::10])
    hold(merge(*groups), rows)
    assert [group.count for group in stream.result()] == [group.count for group in groups]


def test_a_stream_of_few_rows(rows):
    stream = StreamingMoments(4)
    stream.add(rows[:2])
    stream.add(rows[2:3])
    groups = stream.result()
    assert [group.count for group in groups] == [1, 1, 1]
    hold(merge(*groups), rows[:3])


def test_float32_rows_are_added_in_float64():
    # The float32 mean of 20,000 equal rows is off by 1e-5.
    rows = np.full((20_000, 1), 0.1, np.float32)
    stream = StreamingMoments(1)
    stream.add(rows)
    whole = merge(*stream.result())
    np.testing.assert_allclose(whole.mean, np.float64(np.float32(0.1)), rtol=1e-15)
    assert whole.scatter < 1e-20


def test_what_is_refused(rows):
    with pytest.raises(ValueError, match="4 columns: got shape \\(2, 3\\)"):
        StreamingMoments(4).add(rows[:2, :3])
    with pytest.raises(ValueError, match="rows of numbers: got an array of shape \\(4,\\)"):
        moments_of(rows[0])
    with pytest.raises(ValueError, match="those of image 2 are not"):
        moments_of([[0.0], [1.0], [np.nan]])
    with pytest.raises(ValueError, match="needs 2 images or more: got 1"):
        _ = moments_of(rows[:1]).covariance


PROCESS = """
import sys, jax, numpy as np
address, process = sys.argv[1], int(sys.argv[2])
jax.distributed.initialize(address, 2, process)
from sde_jax.metrics.moments import StreamingMoments, merge
rows = 1000 + np.random.default_rng(0).normal(size=(33, 3))
stream = StreamingMoments(3)
stream.add(rows[:30] if process == 0 else rows[30:])
groups = stream.result()
whole = merge(*groups)
np.testing.assert_allclose(whole.covariance, np.cov(rows, rowvar=False), rtol=1e-11)
assert [group.count for group in groups] == [4] * 3 + [3] * 7, groups
"""


@pytest.mark.slow("test_any_parts_in_any_order_merge_to_the_same")
def test_two_processes_have_the_moments_of_the_rows_of_both():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, address, str(process)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
