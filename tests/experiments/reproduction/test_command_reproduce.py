"""``python -m experiments``, on experiments of a few steps."""

import json
import shutil

import pytest
from in_process import refusal, reproduce, run_experiments

from experiments import __main__ as command, questions
from experiments.reproduction.order import FULL_SIZE, ORDER, study_names
from experiments.studies.nearest import NearestImages
from experiments.studies.reports import Accuracy
from sde_jax.recipes.serialization import to_config
from sde_jax.runs import find, names
from sde_jax.training.loop import TrainResult

PAGE = """\
# Tables

<!-- reproduced: digits_vp digits_ve -->
| stale |
<!-- end -->

between

<!-- reproduced: digits_nearest -->
<!-- end -->
"""


@pytest.fixture
def folder(reproduced, small_experiments, tmp_path):
    """A copy of the runs, and a page with tables: arguments of the command."""
    shutil.copytree(reproduced, tmp_path / "runs")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text(PAGE)
    return tmp_path


@pytest.fixture(scope="module")
def found(reproduced, tmp_path_factory):
    """What the study of the nearest images finds, and the folder of its pictures."""
    study, pictures = command.find_study("digits_nearest"), tmp_path_factory.mktemp("pictures")
    return study.measure(reproduced, pictures), pictures


@pytest.fixture
def known(found, monkeypatch):
    """The study is not measured: its results are known."""

    def measure(self, runs, pictures):
        shutil.copytree(found[1], pictures, dirs_exist_ok=True)
        return {**found[0], "count": self.count}

    monkeypatch.setattr(NearestImages, "measure", measure)


def arguments(folder):
    return ("--runs", folder / "runs", "--out", folder / "out")


@pytest.mark.usefixtures("known")
def test_a_study_comes_with_its_runs_tables_and_pictures(folder, monkeypatch):
    monkeypatch.setattr(command, "report", lambda _: None)
    results = reproduce("digits_nearest", *arguments(folder))
    assert results["reproduced"] == ["digits_classifier", "digits_vp", "digits_nearest"]
    out = folder / "out"
    page = (out / "README.md").read_text()
    assert "stale" not in page and "between" in page
    stored = json.loads((out / "results" / "digits_vp.json").read_text())
    (frechet,) = (
        finding["value"]
        for finding in stored["results"]["findings"]
        if (finding["metric"], finding["features"], finding["of"])
        == ("frechet_distance", "classifier", "run")
    )
    (row,) = (line for line in page.splitlines() if line.startswith("| `digits_vp`"))
    shown = row.split("|")[3].partition("±")[0]
    assert float(shown) == pytest.approx(frechet, rel=0.3)
    assert stored["commit"] in row and stored["computer"] in row
    assert "| `digits_ve` | not yet run |" in page
    assert "`python -m experiments digits_nearest`" in page
    assert (out / "pictures" / "digits_nearest-neighbours.png").is_file()


@pytest.mark.usefixtures("known")
def test_after_a_kill_it_goes_on_and_does_nothing_again(folder, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(NearestImages, "measure", killed)
        assert run_experiments("digits_nearest", *arguments(folder)).code == 130
    page = (folder / "out" / "README.md").read_text()
    assert "`python -m experiments digits_nearest`: not yet run." in page
    reproduce("digits_nearest", *arguments(folder))
    before = json.loads((folder / "out" / "results" / "digits_nearest.json").read_text())
    shutil.rmtree(folder / "out" / "results")

    def again(*_):
        pytest.fail("it was there")

    monkeypatch.setattr("experiments.reproduction.measuring.train_experiment", again)
    monkeypatch.setattr(NearestImages, "measure", again)
    monkeypatch.setattr(Accuracy, "measure", again)
    monkeypatch.setattr("sde_jax.runs.generation.compiled_on_each_device", lambda *_: again)
    reproduce("digits_nearest", *arguments(folder))
    assert json.loads((folder / "out" / "results" / "digits_nearest.json").read_text()) == before


@pytest.mark.slow("test_after_a_kill_it_goes_on_and_does_nothing_again")
@pytest.mark.usefixtures("known")
def test_another_study_of_the_name_is_measured_again(folder, found, monkeypatch):
    """One that counts the minutes of its parts is believed."""
    reproduce("digits_nearest", *arguments(folder))
    monkeypatch.setattr(
        NearestImages, "measure", lambda self, *_: {**found[0], "count": 40, "minutes": 42.0}
    )
    other = NearestImages(run="digits_vp", classifier="digits_classifier", count=40)
    monkeypatch.setattr(questions, "digits_nearest", lambda: other)
    reproduce("digits_nearest", *arguments(folder))
    stored = json.loads((folder / "out" / "results" / "digits_nearest.json").read_text())
    assert stored["results"]["count"] == 40
    assert "given the trained runs: 42.0 minutes" in (folder / "out" / "README.md").read_text()


def test_every_study_can_be_told_from_another():
    for name in study_names():
        json.dumps(to_config(command.find_study(name)))


def test_a_report_is_a_part_of_the_results_of_its_experiment(folder):
    results = reproduce("digits_classifier", *arguments(folder))
    assert results["reproduced"] == ["digits_classifier"]
    stored = json.loads((folder / "out" / "results" / "digits_classifier.json").read_text())
    report = stored["results"]["report"]
    assert report.keys() == {"accuracy", "stderr", "count"}
    assert report["count"] == 297
    record = json.loads((folder / "runs" / "digits_classifier" / "report.json").read_text())
    assert record["result"]["results"] == report


def test_a_training_that_is_stopped_says_how_to_go_on(folder, monkeypatch):
    shutil.rmtree(folder / "runs" / "digits_vae")
    stopped = TrainResult(
        state=None, step=1, stopped=True, held_out_loss=None, seconds=1.0, images_per_second=1.0
    )
    monkeypatch.setattr(
        "experiments.reproduction.measuring.train_experiment", lambda *_, **__: stopped
    )
    outcome = run_experiments("digits_vae", *arguments(folder))
    assert outcome.code == 2
    said = "error: digits_vae stopped at step 1: the same command continues it"
    assert outcome.messages[-1] == said


def test_a_name_that_is_none_is_refused(tmp_path):
    said = refusal("digits_vq", "--out", tmp_path, run=run_experiments)
    assert "no experiment or study 'digits_vq': `sde-jax list` shows them." in said
    assert not list(tmp_path.iterdir())


def test_all_names_of_the_order_exist_and_runs_come_before_their_studies():
    known = {*names(), *study_names()}
    assert set(ORDER) <= known
    assert len(set(ORDER)) == len(ORDER)
    assert set(study_names()) <= set(ORDER)
    assert set(FULL_SIZE) <= set(ORDER)
    for place, name in enumerate(ORDER):
        if name in study_names():
            assert set(command.find_study(name).trained) <= set(ORDER[:place]), name


def test_on_cores_alone_the_full_sizes_are_left_out():
    assert not set(command.fitting("cpu")) & set(FULL_SIZE)
    assert set(command.fitting("gpu")) == set(ORDER)


def test_every_mnist_name_has_a_form_for_digits():
    known = {*names(), *study_names()}
    for name in {*ORDER, "samplers", "forward"}:
        if name.startswith("mnist_") or name in ("samplers", "forward"):
            form = name.removeprefix("mnist_").removeprefix("full_").removesuffix("_narrow")
            assert f"digits_{form}" in known, name


def test_experiments_of_the_order_can_be_found():
    for name in set(ORDER) & set(names()):
        assert find(name).experiment.training.steps > 0
