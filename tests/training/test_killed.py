"""Runs in processes of their own: killed at bad moments, and without room to write."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from killing import kill_when, saving
from toy_run import assert_bitwise, lines, toy_learner, train_wide

from sde_jax.training import Checkpoints, abstract_state, data_mesh

ROOT = Path(__file__).parents[2]
WIDTH = 20_000


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("toy_run.py")), str(folder)]
        + [str(argument) for argument in (WIDTH, *arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed_when(folder, condition):
    """Starts or continues the run in ``folder``, and kills it as soon as ``condition`` holds."""
    process = start(folder)
    killed = kill_when(process, condition, within=120)
    _, errors = process.communicate()
    assert killed, f"the run ended before it could be killed: {errors}"


def logged(folder, count):
    file = folder / "metrics.jsonl"
    return lambda: file.exists() and file.read_bytes().count(b"\n") >= count


def contents(folder):
    with Checkpoints(folder / "checkpoints") as checkpoints:
        like = abstract_state(toy_learner(WIDTH), data_mesh())
        return checkpoints.restore_newest(like)


def configured(folder):
    return (folder / "config.json").exists


ONE = [lambda folder: saving(folder, 12)]
MANY = [
    configured,
    lambda folder: logged(folder, 1),
    lambda folder: saving(folder, 24),
    lambda folder: logged(folder, 10),
]


@pytest.mark.slow(
    "tests/training/test_loop.py::test_a_signal_saves_and_the_rest_follows_as_if_it_had_not_come"
)
@pytest.mark.parametrize("conditions", [ONE, MANY], ids=len)
def test_killed_at_any_moment_it_ends_as_if_it_never_was(tmp_path, conditions):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected = train_wide(whole, WIDTH)
    for condition in conditions:
        killed_when(killed, condition(killed))
    assert Checkpoints(killed / "checkpoints").steps()[-1] < 40
    assert_bitwise(train_wide(killed, WIDTH), expected)
    assert lines(killed) == lines(whole)
    assert sorted(path.name for path in (killed / "checkpoints").iterdir()) == ["36", "40"]


@pytest.mark.slow(
    "tests/training/test_checkpoint.py::test_a_full_disk_costs_only_what_was_to_be_written_on_it"
)
def test_a_full_disk_ends_the_run_in_a_line_and_costs_no_checkpoint(tmp_path):
    """No file may be larger than 50 kB, which the arrays need, after a run that could write."""
    killed_when(tmp_path, logged(tmp_path, 4))
    before = Checkpoints(tmp_path / "checkpoints").steps()
    process = start(tmp_path, 50_000)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    *failures, last = errors.splitlines()
    assert all(" could not be saved: " in line for line in failures), errors
    assert len(failures) > 2
    assert last.startswith("UnsavedError: the checkpoint of step 40 could not be saved: "), last
    assert last.endswith(f"; the last one is that of step {before[-1]}")
    folders = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert sorted(map(int, folders)) == before
    assert contents(tmp_path).step == before[-1]
    assert train_wide(tmp_path, WIDTH).step == 40
