"""Tests of ``label``: pictures that others, and `Folder`, read with labels."""

import numpy as np
import pytest
from in_process import contents, refusal, run_command, succeed
from tiny import untrained

from sde_jax.data.folder import Folder
from sde_jax.evaluation.features import classifier, extractor
from sde_jax.evaluation.labelled_folder import write_labelled


@pytest.fixture(scope="module")
def classifier_run(tmp_path_factory):
    return untrained("classifier", tmp_path_factory.mktemp("classifier") / "run")


def labels_of(folder):
    records = Folder(path=str(folder), held_out=0).records()["train"]
    return {records.name(i): int(label) for i, label in enumerate(records.labels)}


def images(count):
    """Images in [0, 1] of no special kind."""
    return np.random.default_rng(count).uniform(size=(count, 8, 8, 1)).astype(np.float32)


def test_samples_are_in_folders_of_their_predicted_labels(classifier_run, tmp_path):
    samples = images(12)
    np.savez(tmp_path / "samples.npz", samples=samples)
    options = ["--folder", tmp_path / "png", "--classifier", classifier_run, "--batch-size", 8]
    results = succeed("label", tmp_path / "samples.npz", *options)
    assert results["labelled_folder"] == str(tmp_path / "png")
    assert (results["count"], results["failed"]) == (12, [])
    logits = extractor(classifier(classifier_run), 12)(samples).logits
    expected = {
        str(tmp_path / "png" / f"{label}" / f"{number:06}.png"): label
        for number, label in enumerate(logits.argmax(axis=1).tolist())
    }
    assert labels_of(tmp_path / "png") == expected
    assert sum(results["labels"].values()) == 12
    source = Folder(path=str(tmp_path / "png"), held_out=0).records()["train"]
    by_name = dict(zip(expected, np.rint(255 * samples).astype(np.uint8), strict=True))
    for index, name in enumerate(source.name(i) for i in range(len(source))):
        pixels = source.read([index])[0]
        np.testing.assert_array_equal(pixels, np.broadcast_to(by_name[name], pixels.shape))


def test_labels_of_two_digits_and_gaps_are_read_back(tmp_path):
    pictures = [(number, np.full((2, 2, 3), number / 255)) for number in range(4)]
    counts = write_labelled(tmp_path, pictures, np.array([11, 2, 11, 9]), 12)
    assert counts == {"02": 1, "09": 1, "11": 2}
    assert sorted(labels_of(tmp_path).values()) == [2, 9, 11, 11]


def test_samples_that_are_not_finite_are_left_out_and_named(classifier_run, tmp_path):
    samples = images(3)
    samples[1, 2, 3] = np.nan
    np.savez(tmp_path / "samples.npz", samples=samples)
    options = ["--folder", tmp_path / "png", "--classifier", classifier_run]
    outcome = run_command("label", tmp_path / "samples.npz", *options)
    assert outcome.code == 1
    assert outcome.results["failed"] == [1] and outcome.results["count"] == 2
    assert "no result for example 1" in outcome.messages[-1]
    names = sorted(path.name for path in (tmp_path / "png").glob("*/*.png"))
    assert names == ["000000.png", "000002.png"]


def test_it_is_refused_before_anything_is_written(ring_run, classifier_run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    np.savez(tmp_path / "good.npz", samples=images(2))
    np.savez(tmp_path / "points.npz", samples=np.zeros((2, 2)))
    np.savez(tmp_path / "large.npz", samples=np.zeros((2, 9, 9, 1)))
    np.savez(tmp_path / "failed.npz", samples=np.full((2, 8, 8, 1), np.nan))
    np.savez(tmp_path / "other.npz", others=images(2))
    (tmp_path / "text.npz").write_text("no archive")
    before = contents(tmp_path)
    named = ["--classifier", classifier_run]
    new = ["--folder", tmp_path / "new"]
    cases = [
        ("good", ["--folder", tmp_path / "full", *named], "exists already"),
        ("points", [*new, *named], "takes images"),
        ("failed", [*new, *named], "holds no finite sample"),
        ("other", [*new, *named], "holds no samples: `sample` writes such a file"),
        ("text", [*new, *named], "neither an .npy nor an .npz file: `sample` writes such a file"),
        ("missing", [*new, *named], "cannot be read: No such file"),
        ("good", new, "--classifier"),
        ("good", named, "--folder"),
        ("good", [*new, "--classifier", ring_run], "must be the run of a classifier"),
    ]
    for name, options, complaint in cases:
        assert complaint in refusal("label", tmp_path / f"{name}.npz", *options)
    assert contents(tmp_path) == before
    assert "takes examples of shape" in refusal("label", tmp_path / "large.npz", *new, *named)


@pytest.mark.parametrize("level", [0.4, 0.6])
def test_levels_are_rounded(tmp_path, level):
    write_labelled(tmp_path, [(0, np.full((2, 2, 1), level / 255))], np.array([1]), 2)
    records = Folder(path=str(tmp_path), held_out=0).records()["train"]
    assert {*np.unique(records.read([0])[0])} == {round(level)}
