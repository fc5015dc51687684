"""Tests of the line that says how long an evaluation will take."""

import types

import numpy as np
import pytest

from sde_jax.evaluation import announcement, task
from sde_jax.recipes import EvaluationSettings
from sde_jax.runs import open_generative, shards
from sde_jax.sampling import Samples


@pytest.fixture
def clock(monkeypatch):
    """A clock that the parts advance."""
    now = types.SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(announcement.time, "perf_counter", lambda: now.seconds)
    return now


def parts(clock, seconds, sizes):
    for size in sizes:
        clock.seconds += seconds
        yield types.SimpleNamespace(nfe=np.full(size, 1000))


def test_long_work_is_announced_after_its_first_part(clock, capsys):
    work = announcement.announced(
        parts(clock, 60.0, [10, 10, 5]), 40, what="samples", less="`--count` asks for fewer"
    )
    next(work)
    said = capsys.readouterr().err
    assert said == (
        "30 more samples of about 1,000 evaluations will take 03:00 at the pace of the first 10, "
        "compilation included: `--count` asks for fewer\n"
    )
    assert [len(part.nfe) for part in work] == [10, 5]
    assert not capsys.readouterr().err


def test_short_work_is_not_announced(clock, capsys):
    assert (
        len(list(announcement.announced(parts(clock, 19.0, [10, 10]), 40, what="", less=""))) == 2
    )
    assert not capsys.readouterr().err


def test_an_evaluation_announces_its_samples(clock, capsys, monkeypatch, tiny_run, tmp_path):
    """Those still to be drawn, and how to ask for less."""
    run = open_generative(tiny_run)

    def generate(*_, count, start, **__):
        for _ in range(start, count, 100):
            clock.seconds += 600.0
            x = np.zeros((100, *run.layout.shape), np.float32)
            yield Samples(x, np.full(100, 1000), np.ones(100, bool))

    monkeypatch.setattr(shards, "generate", generate)
    monkeypatch.setattr(task.Task, "folder", tmp_path)
    whole = task.Task(run=run, settings=EvaluationSettings(count=1000), likelihood=None)
    assert whole.samples().data.shape == (1000, *run.layout.shape)
    assert capsys.readouterr().err.startswith("900 more samples of about 1,000 evaluations ")
    index = tmp_path / "samples" / "index.jsonl"
    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[:2]))
    assert whole.samples().nfe == 1000
    said = capsys.readouterr().err
    assert said.startswith("700 more samples of about 1,000 evaluations will take 1:10:00 at ")
    assert said.endswith(
        ": `--count` asks for fewer, `--sampling.sampler` and `--sampling.steps` for fewer "
        "evaluations\n"
    )
