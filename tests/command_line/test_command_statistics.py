"""Tests of ``data statistics``."""

import numpy as np
import PIL.Image
import pytest
from in_process import refusal, run_command, succeed
from tiny import untrained

from sde_jax.data import DataNotFoundError, TfdsImages
from sde_jax.interop.statistics_file import read_reference

STATISTICS = ("data", "statistics")
PLAIN = ("--features", "coordinates")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sde_jax" / "statistics"


@pytest.fixture
def pictures(tmp_path):
    """A folder of grey pictures of 3x3 pixels, of levels 0, 20, 40, ... in any order."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for level in range(0, 240, 20):
        PIL.Image.new("RGB", (3, 3), (level,) * 3).save(folder / f"{level}.png")
    return folder


def test_statistics_of_an_experiments_data(cache, tmp_path):
    options = [*PLAIN, "--split", "test", "--batch-size", 100]
    found = succeed(*STATISTICS, "digits_vp", *options, "--out", tmp_path / "digits")
    assert (found["data"], found["split"], found["count"]) == ("Digits", "test", 297)
    assert found["out"] == f"{tmp_path}/digits.npz"
    assert [str(path) for path in cache.glob("*.npz")] == [found["cached"]]
    kept, shared = (read_reference(found[name]) for name in ("cached", "out"))
    assert kept.identity == shared.identity
    assert kept.identity.items() <= found.items()
    np.testing.assert_array_equal(kept.features, shared.features)
    again = refusal(*STATISTICS, "digits_vp", *options, "--out", tmp_path / "digits")
    assert "digits.npz exists already" in again


def test_statistics_of_a_runs_data(ring_run):
    found = succeed(*STATISTICS, ring_run, *PLAIN, "--split", "test", "--count", 50)
    assert (found["data"], found["count"], found["features.dimension"]) == ("Ring", 50, 2)
    line = refusal(*STATISTICS, ring_run, *PLAIN)
    assert "`count` must be stated: split 'train' is endless" in line


def test_statistics_of_pictures(pictures):
    options = [pictures, *PLAIN, "--grey", "--image-size", 2]
    found = succeed(*STATISTICS, *options)
    assert (found["data"], found["shape"], found["count"]) == ("Folder", "2x2x1", 12)
    gaussian = read_reference(found["cached"]).gaussian
    levels = np.arange(0, 240, 20) / 255
    np.testing.assert_allclose(gaussian.mean, levels.mean(), rtol=1e-6)
    np.testing.assert_allclose(gaussian.covariance, levels.var(ddof=1), rtol=1e-6)


PART = [*PLAIN, "--split", "test[:40]", "--image-size", 32, "--fit", "pad", "--count", 30]


@pytest.mark.slow("test_a_part_of_a_prepared_set_is_asked_for")
def test_a_part_of_a_prepared_set(shared):
    data_dir = shared / "data" / "tfds"
    found = succeed(*STATISTICS, "mnist", *PART, "--data-dir", data_dir)
    assert (found["shape"], found["split"], found["count"]) == ("32x32x1", "test[:40]", 30)
    assert (found["data.name"], found["data.fit"]) == ("mnist", "pad")


def test_a_part_of_a_prepared_set_is_asked_for(tmp_path, monkeypatch):
    """As above, without tensorflow_datasets, whose import takes seconds."""
    asked = []

    def load(data):
        asked.append(data)
        raise DataNotFoundError("it is not there")

    monkeypatch.setattr(TfdsImages, "load", load)
    line = refusal(*STATISTICS, "mnist", *PART, "--data-dir", tmp_path)
    assert "as a prepared set: it is not there" in line
    part = {"test_split": "test[:40]", "image_size": 32, "fit": "pad"}
    assert asked == [TfdsImages(name="mnist", data_dir=str(tmp_path), **part)]


def test_statistics_of_a_classifiers_features(ring_run, tmp_path):
    classifier_run = untrained("classifier", tmp_path / "classifier")
    options = ["--split", "test", "--features"]
    found = succeed(*STATISTICS, "digits_vp", *options, classifier_run)
    kept = read_reference(found["cached"])
    assert kept.logits.shape == (297, 10)
    assert kept.features.shape == (297, found["features.dimension"])
    line = refusal(*STATISTICS, "digits_vp", *options, ring_run)
    assert f"{ring_run} must be the run of a classifier" in line


def test_without_inceptions_weights_it_says_how_to_get_them():
    assert "weights inception --from FILE" in refusal(*STATISTICS, "digits_vp")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["digits_vp", *PLAIN, "--grey"], "--grey does not apply to the data of digits_vp"),
        (["digits_vp", *PLAIN, "--data-dir", "x"], "--data-dir does not apply to the data"),
        (["digits_vp", *PLAIN, "--split", "validation"], "`split` must be one of train, test"),
        (["digits_vp", *PLAIN, "--count", 0], "`count` must be at least 1: got 0"),
        (["digits_vp", *PLAIN, "--count", 1], "`count` must be at least 2, for a covariance"),
        (["digits_vp", *PLAIN, "--preprocessing", "clean_fid"], "does not apply to features coord"),
        (
            ["no", *PLAIN, "--data-dir", "."],
            "no is no experiment, run, folder or zip, and as",
        ),
    ],
)
def test_what_is_refused(options, complaint):
    assert complaint in refusal(*STATISTICS, *options)


def test_what_is_cached_is_not_computed_again():
    run_command(*STATISTICS, "digits_vp", *PLAIN, "--split", "test")
    outcome = run_command(*STATISTICS, "digits_vp", *PLAIN, "--split", "test")
    assert outcome.code == 0
    assert outcome.stderr == ""
