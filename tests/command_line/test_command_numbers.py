"""A table with conditions, by command: shown, trained on, sampled and measured."""

import numpy as np
import pytest
from in_process import refusal, succeed

pytest.importorskip("pyarrow")

SMALL = [
    *("--network.width", 8, "--network.depth", 1, "--training.steps", 4),
    *("--training.eval-every", 2, "--training.batch-size", 16, "--likelihood.tolerance", 0.1),
    *("--optimizer.warmup-steps", 1),
]


def table(folder, rows=60):
    """Two columns that depend on a third, and one of text."""
    rng = np.random.default_rng(0)
    time = rng.uniform(0, 10, rows)
    height, weight = (scale * time + rng.normal(size=rows) for scale in (3.0, 0.1))
    lines = (f"{h},r,{t},{w}" for h, t, w in zip(height, time, weight, strict=True))
    (folder / "table.csv").write_text("\n".join(["height,name,time,weight", *lines]))
    return np.stack([height, weight], axis=1), time


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on the table, given a column."""
    folder = tmp_path_factory.mktemp("numbers")
    table(folder)
    asked = ("--data.columns", "height", "weight", "--data.condition-columns", "time")
    path = ("--data.path", folder / "table.csv", "--workdir", folder / "run")
    always = ("--label-dropout", 0)
    assert succeed("train", "numbers", *path, *asked, *always, *SMALL)["step"] == 4
    return folder / "run"


def test_a_table_is_shown_with_the_reason_of_its_refusal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path)
    assert "the first, 'name', holds string" in refusal("data", "show", "table.csv")
    shown = succeed("data", "show", "table.csv", "--columns", "height", "weight", "time")
    assert [channel["name"] for channel in shown["channels"]] == ["height", "weight", "time"]
    said = refusal("train", "numbers", "--data.path", "table.csv", "--workdir", "run")
    assert "`columns` chooses others: height, time, weight" in said
    assert not (tmp_path / "run").exists()


def test_a_run_given_a_column_is_sampled_and_measured(run, tmp_path):
    (tmp_path / "one.csv").write_text("time\n5\n")
    found = succeed("sample", run, "--condition", tmp_path / "one.csv", "--count", 6)
    assert np.load(found["out"])["samples"].shape == (6, 2) and "-condition" in found["out"]
    measured = succeed("likelihood", run)
    assert measured["count"] == 6 and measured["measures"] == "density of the data"
    same = succeed("likelihood", run, "--condition", tmp_path / "one.csv")
    assert same["nats"] != measured["nats"]


def test_a_run_given_a_column_refuses_other_rows(run, tmp_path):
    assert "`condition` must be given, a row of 1 number," in refusal("sample", run)
    same = ("--condition", run.parent / "table.csv", "--count", 60)
    said = refusal("sample", run, *same, "--weight", 1.0)
    assert "`weight` must be 0 for a run trained with `label_dropout`=0" in said
    said = refusal("sample", run, "--condition", run.parent / "table.csv", "--count", 7)
    assert "one row for all or one for each of 7 samples: it has 60 rows" in said
    (tmp_path / "other.csv").write_text("hour\n5\n")
    said = refusal("likelihood", run, "--condition", tmp_path / "other.csv")
    assert "has no column 'time': it has hour" in said


@pytest.mark.slow("test_a_run_given_a_column_is_sampled_and_measured")
def test_an_evaluation_takes_held_out_conditions_or_others(run, tmp_path):
    (tmp_path / "one.csv").write_text("time\n5\n")
    few = ("--count", 32, "--likelihood-count", 4)
    own = succeed("evaluate", run, *few)
    other = succeed("evaluate", run, *few, "--condition", tmp_path / "one.csv")
    assert own["results"] == other["results"] and own["out"] != other["out"]
