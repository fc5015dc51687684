"""Tests of ``sample --labelled-folder``: pictures that others, and `Folder`, read with labels."""

import numpy as np
import pytest
from in_process import contents, refusal, succeed

from sde_jax.data import Folder
from sde_jax.evaluation.features import classifier, extractor
from sde_jax.evaluation.labelled_folder import write_labelled
from sde_jax.training.devices import data_mesh


def labels_of(folder):
    records = Folder(path=str(folder), held_out=0).records()["train"]
    return {records.name(i): int(label) for i, label in enumerate(records.labels)}


def test_samples_are_in_folders_of_their_predicted_labels(digits_run, classifier_run, tmp_path):
    options = ["--count", 12, "--steps", 3, "--out", tmp_path / "samples"]
    options += ["--labelled-folder", tmp_path / "png", "--classifier", classifier_run]
    results = succeed("sample", digits_run, *options)
    samples = np.load(results["out"])["samples"]
    logits = extractor(classifier(classifier_run), data_mesh(), 12)(samples).logits
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
    images = [(number, np.full((2, 2, 3), number / 255)) for number in range(4)]
    counts = write_labelled(tmp_path, images, np.array([11, 2, 11, 9]), 12)
    assert counts == {"02": 1, "09": 1, "11": 2}
    assert sorted(labels_of(tmp_path).values()) == [2, 9, 11, 11]


def test_it_is_refused_before_anything_is_drawn(digits_run, ring_run, classifier_run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    named = ["--classifier", classifier_run]
    out = ["--out", tmp_path / "s", "--labelled-folder"]
    assert "exists already" in refusal("sample", digits_run, *out, tmp_path / "full", *named)
    assert "takes images" in refusal("sample", ring_run, *out, tmp_path / "a", *named)
    assert "--classifier RUN" in refusal("sample", digits_run, *out, tmp_path / "a")
    assert "is for --labelled-folder" in refusal("sample", digits_run, *named)
    assert set(contents(tmp_path)) == {tmp_path / "full" / "mine"}


@pytest.mark.parametrize("level", [0.4, 0.6])
def test_levels_are_rounded(tmp_path, level):
    write_labelled(tmp_path, [(0, np.full((2, 2, 1), level / 255))], np.array([1]), 2)
    records = Folder(path=str(tmp_path), held_out=0).records()["train"]
    assert {*np.unique(records.read([0])[0])} == {round(level)}
