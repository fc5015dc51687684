"""Tests of ``anomalies``: its sets, its numbers against those of ``likelihood``, and refusals."""

import csv
import math

import numpy as np
import PIL.Image
import pytest
from in_process import contents, refusal, run_command, succeed
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score
from tiny import untrained

from sde_jax.command_line import anomalies
from sde_jax.data import ImageScaling
from sde_jax.evaluation import anomaly_figure
from sde_jax.evaluation.anomaly_sets import levels_of
from sde_jax.recipes.interfaces import Measured

COUNT = 9
SEVENTEEN, EIGHT_BITS = ImageScaling(levels=17), ImageScaling()


@pytest.fixture(scope="module")
def found(tiny_run, tmp_path_factory):
    """Results, and the bits that were drawn, of both sets that are always there."""
    drawn = {}

    def keep(own, others, path, **words):
        drawn.update(own=own, words=words, **others)
        whole(own, others, path, **words)

    out = tmp_path_factory.mktemp("anomalies") / "both"
    with pytest.MonkeyPatch.context() as patch:
        whole = anomaly_figure.draw
        patch.setattr(anomaly_figure, "draw", keep)
        options = ("--count", COUNT, "--batch-size", 16, "--out", out)
        return succeed("anomalies", tiny_run, *options), drawn


def test_held_out_images_have_their_likelihood(found, tiny_run, tmp_path):
    """That of ``likelihood``, of the same images, noise and probes, but for rounding."""
    out = tmp_path / "table"
    expected = succeed("likelihood", tiny_run, "--count", COUNT, "--out", out)
    results, drawn = found
    with open(expected["out"], newline="") as file:
        bits = [float(row["bits_per_dim"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(drawn["own"], bits, atol=2e-4)
    for name in ("bits_per_dim", "stderr"):
        assert results["held_out"][name] == pytest.approx(expected[name], abs=2e-4)
    assert results["held_out"]["count"] == COUNT


def test_the_numbers_are_those_of_the_bits(found):
    results, drawn = found
    assert list(results["against"]) == ["noise", "photographs"]
    for name, summary in results["against"].items():
        bits = drawn[name]
        assert summary["count"] == len(bits) == COUNT
        assert summary["bits_per_dim"] == pytest.approx(bits.mean(), rel=1e-6)
        assert summary["stderr"] == pytest.approx(bits.std(ddof=1) / 3, rel=1e-5)
        labels = np.repeat([1, 0], COUNT)
        area = roc_auc_score(labels, np.concatenate([bits, drawn["own"]]))
        assert summary["auc"] == pytest.approx(area, rel=1e-9)
        assert summary["failed"] == []
    assert results["failed"] == []
    assert drawn["words"] == {"title": "digits, step 4", "unit": "bits per dimension"}


def test_a_picture_is_drawn(found):
    results, _ = found
    assert results["out"].endswith("/both.png")
    with PIL.Image.open(results["out"]) as picture:
        width, height = picture.size
    assert 1.9 < width / height < 2.1
    assert width > 1000


def measured_as(bits):
    """What stands in for `measure`, and says NaN where a solve failed."""
    bits = np.asarray(bits, float)
    converged = np.isfinite(bits)
    cost = np.full(len(bits), 20)

    def measure(density, params, source, split, **options):
        assert source.sizes[split] == len(bits)
        yield Measured(-bits, bits, 0 * bits, cost, converged)

    return measure


def test_failed_solves_are_named_and_in_no_number(tiny_run, tmp_path, monkeypatch):
    bits = [2.0, math.nan, 3.0, 4.0, *(math.nan, 2.5, 9.0, math.nan)]
    monkeypatch.setattr(anomalies, "measure", measured_as(bits))
    options = ("--against", "noise", "--count", 4, "--out", tmp_path / "some")
    outcome = run_command("anomalies", tiny_run, *options)
    assert outcome.code == 1
    assert outcome.messages == [
        "error: no result for example 1 of held-out images, 0 of noise, 3 of noise: its solve "
        "failed."
    ]
    held_out, noise = outcome.results["held_out"], outcome.results["against"]["noise"]
    assert (held_out["bits_per_dim"], held_out["count"], held_out["failed"]) == (3.0, 4, [1])
    assert (noise["bits_per_dim"], noise["count"], noise["failed"]) == (5.75, 4, [0, 3])
    # 2.5 is above one of three, 9 above all.
    assert noise["auc"] == pytest.approx(4 / 6)
    assert (tmp_path / "some.png").is_file()


def test_where_all_solves_failed_there_is_no_area_and_no_picture(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(anomalies, "measure", measured_as([2.0, 3.0, math.nan, math.nan]))
    options = ("--against", "photographs", "--count", 2, "--out", tmp_path / "none")
    outcome = run_command("anomalies", tiny_run, *options)
    assert outcome.code == 1
    photographs = outcome.results["against"]["photographs"]
    assert [photographs[name] for name in ("bits_per_dim", "auc", "auc_stderr")] == [None] * 3
    assert outcome.results["out"] is None
    assert contents(tmp_path) == {}


def test_sets_that_are_wholly_apart_have_no_known_error(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(anomalies, "measure", measured_as([2.0, 3.0, 3.5, 50.0, 60.0, 70.0]))
    options = ("--against", "noise", "--count", 3, "--out", tmp_path / "apart")
    noise = succeed("anomalies", tiny_run, *options)["against"]["noise"]
    assert (noise["auc"], noise["auc_stderr"]) == (1.0, None)


def test_noise_is_uniform_over_the_levels():
    """17 levels of n = 64000 pixels: chi squared of 16 degrees, of deviation sqrt(32)."""
    images = levels_of("noise", None, (8, 8, 1), SEVENTEEN, 1000, seed=3)
    assert images.shape == (1000, 8, 8, 1) and images.dtype == np.uint8
    counts = np.bincount(images.ravel(), minlength=17)
    assert counts.size == 17
    chi_squared = ((counts - 64000 / 17) ** 2 / (64000 / 17)).sum()
    assert abs(chi_squared - 16) < 5 * np.sqrt(32), chi_squared
    other = levels_of("noise", None, (8, 8, 1), SEVENTEEN, 1000, seed=4)
    assert (images != other).mean() == pytest.approx(16 / 17, abs=0.01)


@pytest.mark.parametrize("shape", [(8, 10, 3), (40, 40, 1), (427, 640, 3)])
def test_photographs_are_pieces_of_the_two(shape):
    """Each is found in its photograph, at its levels."""
    images = levels_of("photographs", None, shape, EIGHT_BITS, 4, seed=1)
    assert images.shape == (4, *shape)
    for i, image in enumerate(images):
        photograph = load_sample_images().images[i % 2]
        if shape[2] == 1:
            photograph = np.asarray(PIL.Image.fromarray(photograph).convert("L"))[..., None]
        windows = np.lib.stride_tricks.sliding_window_view(photograph, shape)[..., 0, :, :, :]
        first = (windows[:, :, 0, 0] == image[0, 0]).all(axis=-1)
        assert any(
            (windows[place] == image).all() for place in zip(*np.nonzero(first), strict=True)
        )


def test_levels_are_equal_parts_of_eight_bits():
    fine = levels_of("photographs", None, (20, 20, 3), EIGHT_BITS, 6, seed=1)
    coarse = levels_of("photographs", None, (20, 20, 3), SEVENTEEN, 6, seed=1)
    np.testing.assert_array_equal(coarse, np.floor(fine / 256 * 17))
    assert coarse.max() <= 16


@pytest.fixture
def pictures(tmp_path):
    """A folder of 16x12 pictures, each of one colour, and a broken one in the middle."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        PIL.Image.new("RGB", (16, 12), (50 * i, 0, 10)).save(folder / f"{i}.png")
    (folder / "2.png").write_text("none")
    return folder


def test_a_folder_is_fitted_to_the_run(pictures):
    images = levels_of(str(pictures), None, (8, 8, 3), EIGHT_BITS, 100, seed=0)
    expected = np.array([[0, 0, 10], [50, 0, 10], [150, 0, 10], [200, 0, 10]])
    np.testing.assert_array_equal(images, np.broadcast_to(expected[:, None, None], (4, 8, 8, 3)))
    grey = levels_of(str(pictures), None, (8, 8, 1), SEVENTEEN, 2, seed=0)
    # Luma .299 R + .587 G + .114 B of the first and the last, of 17 levels.
    expected = [int((0.114 * 10) * 17 / 256), int((0.299 * 200 + 0.114 * 10) * 17 / 256)]
    np.testing.assert_array_equal(grey[:, 0, 0, 0], expected)


def test_a_folder_is_a_set_of_its_own(tiny_run, pictures, tmp_path, monkeypatch):
    bits = [*np.linspace(2, 3, COUNT), 5.0, 1.0, 1.5, 1.7]
    monkeypatch.setattr(anomalies, "measure", measured_as(bits))
    options = ("--against", pictures, "--count", COUNT, "--out", tmp_path / "folder")
    results = succeed("anomalies", tiny_run, *options)
    assert list(results["against"]) == [str(pictures)]
    summary = results["against"][str(pictures)]
    assert (summary["count"], summary["auc"]) == (4, 0.25)


def test_the_picture_has_a_name_that_says_how(tiny_run):
    options = anomalies.Anomalies(run=tiny_run, against="my/set", count=7, seed=3)
    run = anomalies.open_generative(tiny_run)
    path = anomalies.usual_path(run, options)
    assert path == tiny_run / "anomalies" / "my_set-at4-seed3-count7.png"


REFUSALS = [
    (["--against", "nothing/at/all"], "nothing/at/all is no folder or zip, and as a prepared set:"),
    (["--data-dir", "x"], "--data-dir is for --against the name of a set"),
    (["--data-dir", "x", "--against", "noise"], "--data-dir is for --against the name of a set"),
    (["--count", 0], "`count` must be at least 1"),
    (["--seed", -1], "`seed` must lie between"),
    (["--split", "train"], "Unrecognized options: --split, train"),
]


@pytest.mark.parametrize(("options", "complaint"), REFUSALS)
def test_options_are_refused(tiny_run, options, complaint):
    before = contents(tiny_run)
    assert complaint in refusal("anomalies", tiny_run, *options)
    assert contents(tiny_run) == before


def test_runs_of_points_and_of_classifiers_are_refused(ring_run, tmp_path):
    classifier = untrained("classifier", tmp_path / "classifier")
    assert "data are points: anomalies are asked for among images" in refusal("anomalies", ring_run)
    assert "must be the run of a generative model" in refusal("anomalies", classifier)


def test_photographs_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="427x640 pixels, too few for images of 512x512: name --a"):
        levels_of("photographs", None, (512, 512, 3), EIGHT_BITS, 1, seed=0)


def test_nothing_is_written_over(tiny_run, tmp_path):
    (tmp_path / "mine.png").write_text("mine")
    assert "exists already" in refusal("anomalies", tiny_run, "--out", tmp_path / "mine")
    assert (tmp_path / "mine.png").read_text() == "mine"
