"""Tests of ``evaluate`` and ``compare``: what they find, keep, show and refuse."""

import dataclasses
import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from in_process import contents, refusal, run_command, succeed
from sklearn.datasets import load_digits
from tiny import untrained

from sde_jax.cache_folder import cache_folder
from sde_jax.evaluation import pieces
from sde_jax.evaluation.wording import WORDING, with_error
from sde_jax.interop.statistics_file import read_reference, write_reference
from sde_jax.metrics.frechet import fit_gaussian, frechet_distance
from sde_jax.metrics.kernel import kernel_distance
from sde_jax.metrics.manifold import precision_recall
from sde_jax.metrics.moments import moments_of
from sde_jax.runs import shards

pytestmark = pytest.mark.filterwarnings("ignore:the covariances of")

SAMPLES = ["--count", 40, "--sampling.steps", 3, "--batch-size", 16]
OPTIONS = [*SAMPLES, "--likelihood-count", 20]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A run of digits with an evaluation, and the folder of this."""
    folder = tmp_path_factory.mktemp("runs")
    untrained("classifier", folder / "digits_classifier")
    run = untrained("digits", folder / "digits")
    config = json.loads((run / "config.json").read_text())
    config["experiment"]["evaluation"] |= {
        "features": ["classifier", "coordinates"],
        "classifier": "digits_classifier",
    }
    (run / "config.json").write_text(json.dumps(config))
    results = succeed("evaluate", run, *OPTIONS)
    assert results["failed"] == []
    return run, (run / "evaluations").glob("*").__next__()


def record_of(folder):
    return json.loads((folder / "evaluation.json").read_text())


def finding(record, metric, features=None, of="run"):
    (found,) = [
        f
        for f in record["findings"]
        if (f["metric"], f["features"], f["of"]) == (metric, features, of)
    ]
    return found


def levels_in(folder):
    files = sorted((folder / "samples").glob("*.npy"))
    return np.concatenate([np.load(file) for file in files])


def nats_in(folder):
    files = sorted((folder / "likelihoods").glob("*.npz"))
    return np.concatenate([np.load(file)["nats"] for file in files])


def test_numbers_are_those_of_the_samples_that_are_kept(evaluated):
    _, folder = evaluated
    record, levels = record_of(folder), levels_in(folder)
    assert levels.dtype == np.uint8 and levels.max() <= 16
    samples = levels.reshape(40, 64) / 16
    images = load_digits().images.reshape(-1, 64) / 16
    train, test = images[:1500], images[1500:]
    for of, x in (("run", samples), ("held-out data", test)):
        expected = frechet_distance(fit_gaussian(moments_of(x)), fit_gaussian(moments_of(train)))
        found = finding(record, "frechet_distance", "coordinates", of)
        np.testing.assert_allclose(found["value"], expected.value, rtol=1e-6)
        np.testing.assert_allclose(found["expected"], expected.bias, rtol=1e-6)
        assert found["counts"] == [len(x), 1500]
        assert found["rank_deficient"]
        expected = kernel_distance(x, train)
        found = finding(record, "kernel_distance", "coordinates", of)
        np.testing.assert_allclose(found["value"], expected.value, rtol=1e-5)
        np.testing.assert_allclose(found["stderr"], expected.stderr, rtol=1e-5)
        recall = finding(record, "recall", "coordinates", of)["value"]
        assert recall == precision_recall(x, train).recall.value
    distances = [((train[:, None] - x) ** 2).sum(axis=-1).min(axis=0) for x in (samples, test)]
    closer = (distances[0][:, None] < distances[1]) + (distances[0][:, None] == distances[1]) / 2
    found = finding(record, "closer", "coordinates")
    np.testing.assert_allclose(found["value"], closer.mean(), atol=1e-4)


def test_bits_per_dimension_are_those_of_the_likelihoods_that_are_kept(evaluated):
    _, folder = evaluated
    found, nats = finding(record_of(folder), "bits_per_dim"), nats_in(folder)
    bits = -nats / (64 * np.log(2))
    np.testing.assert_allclose(found["value"], bits.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["stderr"], bits.std(ddof=1) / 20**0.5, rtol=1e-4)
    assert found["counts"] == [20]


def test_the_classifier_s_predictions_are_measured(evaluated):
    record = record_of(evaluated[1])
    found = finding(record, "label_distance", "classifier")
    shares, real = np.asarray(found["shares"]), np.asarray(found["real_shares"])
    np.testing.assert_allclose([shares.sum(), real.sum()], 1)
    np.testing.assert_allclose(found["value"], np.abs(shares - real).sum() / 2, rtol=1e-6)
    positive = shares[shares > 0]
    entropy = finding(record, "label_entropy", "classifier")["value"]
    np.testing.assert_allclose(entropy, -(positive * np.log(positive)).sum(), rtol=1e-6)


def test_a_killed_evaluation_ends_as_one_that_is_not(evaluated, monkeypatch):
    run, folder = evaluated
    other = shutil.copytree(run, run.parent / "killed", ignore=lambda *_: ["evaluations"])
    whole_file, writes = pieces.whole_file, []

    def killed(path):
        if path.suffix in (".npy", ".npz"):
            writes.append(path)
            if len(writes) == 2:
                raise KeyboardInterrupt
        return whole_file(path)

    monkeypatch.setattr(pieces, "whole_file", killed)
    monkeypatch.setattr(shards, "whole_file", killed)
    options = [*OPTIONS, "--features", "coordinates", "--metrics", "frechet", "likelihood"]
    assert run_command("evaluate", other, *options).code == 130
    succeed("evaluate", other, *options)
    # Three shards of samples and two of likelihoods, and the one that was lost.
    assert len(writes) == 6
    again = other / "evaluations" / folder.name
    np.testing.assert_array_equal(levels_in(folder), levels_in(again))
    np.testing.assert_array_equal(nats_in(folder), nats_in(again))
    found = record_of(again)["findings"]
    assert [finding["metric"] for finding in found] == [
        *["frechet_distance"] * 2,
        "bits_per_dim",
    ]
    assert [each for each in record_of(folder)["findings"] if each in found] == found


def test_other_settings_have_other_pieces(evaluated, monkeypatch):
    run, _ = evaluated
    before = contents(run)
    succeed("evaluate", run, *SAMPLES, "--seed", 1, "--features", "--metrics", "frechet")
    after = contents(run)
    assert before.items() <= after.items()
    new = {path.relative_to(run / "evaluations").parts[0] for path in set(after) - set(before)}
    assert len(new) == 1
    shutil.rmtree(run / "evaluations" / new.pop())


def test_the_report_has_every_number_and_needs_nothing(evaluated):
    _, folder = evaluated
    text, record = (folder / "report.html").read_text(), record_of(folder)
    assert len(record["findings"]) > 20
    for found in record["findings"]:
        assert html.escape(with_error(found["value"], found["stderr"])) in text, found
        assert WORDING[found["metric"]].title in text
        if found["metric"] == "frechet_distance":
            assert f"{found['expected']:.3g} expected for equal distributions" in text
    assert not re.search(r"<script|<link|@import|url\(", text)
    links = re.findall(r'(?:src|href)\s*=\s*"([^"]*)', text)
    assert len(links) == len(record["pictures"])
    assert all(link.startswith("data:image/png;base64,iVBOR") for link in links)


def test_a_missing_classifier_is_one_line_and_the_others_run(evaluated, tmp_path):
    run = shutil.copytree(evaluated[0], tmp_path / "alone")
    outcome = run_command("evaluate", run, *SAMPLES, "--metrics", "precision-recall")
    assert outcome.code == 0
    (line,) = [line for line in outcome.messages if "classifier" in line]
    assert "--classifier RUN" in line
    assert list(outcome.results["results"]) == ["coordinates.precision", "coordinates.recall"]


def test_copies_are_looked_for_in_the_data_s_own_coordinates_too(evaluated, tmp_path):
    before = record_of(evaluated[1])
    run = shutil.copytree(evaluated[0], tmp_path / "copies")
    classifier = evaluated[0].parent / "digits_classifier"
    options = ["--features", "classifier", "--classifier", classifier, "--metrics", "memorization"]
    results = succeed("evaluate", run, *SAMPLES, *options)
    assert results["results"] == {
        f"{features}.{metric}": finding(before, metric, features)["value"]
        for features in ("classifier", "coordinates")
        for metric in ("closer", "near")
    }
    assert "<h2>Data coordinates</h2>" in Path(results["report"]).read_text()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--count", 2], "`count` must be at least 30"),
        (["--metrics", "fid"], "--metrics must be one of density-coverage, frechet, "),
        (["--features", "vgg"], "--features must be one of classifier, coordinates, inception"),
        (["--likelihood-count", 0], "`likelihood_count` must be at least 1"),
        (["--batch-size", 0], "`batch_size` must be at least 1"),
        (
            ["--likelihood-of", "mean", "--likelihood.protocol", "score-bound"],
            "`likelihood_of` must be images unless",
        ),
        (["--statistics", "nowhere.npz"], "--statistics are of one feature network"),
        (["--statistics", "nowhere.npz", "--features", "coordinates"], "nowhere.npz"),
    ],
)
def test_options_are_refused(evaluated, options, complaint):
    run, _ = evaluated
    before = contents(run)
    assert complaint in refusal("evaluate", run, *options)
    assert contents(run) == before


@pytest.mark.slow("tests/runs/test_multilevel.py::test_few_examples_are_measured_in_many_steps")
def test_the_mean_alone_is_that_of_the_images(evaluated, tmp_path):
    """In fewer evaluations, within the errors of both; a repeated evaluation reads it."""
    run = shutil.copytree(evaluated[0], tmp_path / "mean")
    options = [*SAMPLES, "--metrics", "likelihood", "--likelihood-count", 64]
    mean, again, each = (
        record_of(Path(succeed("evaluate", run, *options, "--likelihood-of", of)["out"]).parent)
        for of in ("mean", "mean", "images")
    )
    found, expected = (finding(record, "bits_per_dim") for record in (mean, each))
    assert found == finding(again, "bits_per_dim")
    assert found["counts"] == [64] and found["solver_stderr"] < 0.2 * found["stderr"]
    assert abs(found["value"] - expected["value"]) < 0.1 * expected["stderr"] + 0.02


def test_statistics_of_another_resolution_are_refused(evaluated, tmp_path):
    statistics = cache_folder() / "statistics"
    known = read_reference(next(statistics.glob("digits-train-coordinates*.npz")))
    path = tmp_path / "other.npz"
    options = ["--statistics", path, "--features", "coordinates"]
    write_reference(
        path, dataclasses.replace(known, identity={**known.identity, "shape": "16x16x1"})
    )
    complaint = refusal("evaluate", evaluated[0], *options)
    assert "`shape` must be 8x8x1: got 16x16x1" in complaint
    np.savez(path, mu=np.zeros(2048), sigma=np.eye(2048))
    complaint = refusal("evaluate", evaluated[0], *options)
    assert "`features` must be coordinates: got inception" in complaint


def test_what_is_no_trained_run_is_refused(evaluated, tmp_path):
    assert "holds no run" in refusal("evaluate", tmp_path)
    run = shutil.copytree(evaluated[0], tmp_path / "run", ignore=lambda *_: ["checkpoints"])
    assert "no checkpoint yet" in refusal("evaluate", run)
    classifier = evaluated[0].parent / "digits_classifier"
    assert "must be the run of a generative model" in refusal("evaluate", classifier)
    assert "needs the RUN first" in refusal("evaluate", "--count", 40)


@pytest.fixture
def other_run(evaluated, tmp_path):
    return shutil.copytree(evaluated[0], tmp_path / "other")


def changed(run, change):
    """Changes the record of a run's evaluation."""
    (path,) = run.glob("evaluations/*/evaluation.json")
    record = json.loads(path.read_text())
    record["run"] = str(run)
    change(record)
    path.write_text(json.dumps(record))


def rows(table):
    return {cells[1].strip(): cells for cells in (line.split("|") for line in table.splitlines())}


def test_runs_are_compared(evaluated, other_run, tmp_path):
    def change(record):
        finding(record, "precision", "coordinates")["value"] = 0.125

    changed(other_run, change)
    results = succeed("compare", evaluated[0], other_run, "--out", tmp_path / "out")
    assert results["not_comparable"] == 0
    table = rows((tmp_path / "out" / "comparison.md").read_text())
    found = finding(record_of(evaluated[1]), "precision", "coordinates")
    first, second = table["Precision (coordinates)"][2:4]
    assert first.strip() == with_error(found["value"], found["stderr"])
    assert second.strip().startswith("0.125")
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 1000
    assert "0.125" in (tmp_path / "out" / "comparison.html").read_text()


def test_what_does_not_compare_is_marked(evaluated, other_run, tmp_path):
    def change(record):
        record["reference"]["coordinates"]["count"] = 1000
        finding(record, "mean_max_logit", "classifier")["counts"] = [39]
        record["likelihood"]["tolerance"] = 0.3
        record["findings"].remove(finding(record, "recall", "classifier"))

    changed(other_run, change)
    succeed("compare", evaluated[0], other_run, "--out", tmp_path / "out")
    table = rows((tmp_path / "out" / "comparison.md").read_text())
    assert {n: row[3].strip() for n, row in table.items() if "not compar" in row[3]} == {
        **{
            name: "not comparable: count is 1000, not 1500"
            for name in table
            if name.endswith("(coordinates)")
        },
        "Mean max logit (classifier)": "not comparable: counts is [39], not [40]",
        "Bits per dimension": "not comparable: likelihood.tolerance is 0.3, not 0.1",
    }
    assert table["Recall (classifier)"][3].strip() == "not measured"
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert page.count("not comparable") == 10


def test_runs_without_an_evaluation_are_not_compared(evaluated, tmp_path):
    run, _ = evaluated
    other = shutil.copytree(run, tmp_path / "other", ignore=lambda *_: ["evaluations"])
    assert "has no evaluation yet" in refusal("compare", run, other)
    assert "holds no run" in refusal("compare", run, tmp_path / "none")
    assert "needs two runs or more" in refusal("compare", run)
