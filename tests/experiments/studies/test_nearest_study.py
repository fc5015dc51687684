"""Samples and their nearest training images, where these are known."""

import dataclasses

import numpy as np
import PIL.Image
import pytest

from experiments.questions import digits_nearest
from experiments.studies import nearest
from sde_jax.data import Digits
from sde_jax.evaluation.examples import read_examples

STUDY = dataclasses.replace(digits_nearest(), count=40)


@pytest.fixture
def training():
    return np.concatenate([part.data for part in read_examples(Digits().load(), "train")])


def measured(reproduced, tmp_path, monkeypatch, samples):
    """What the study finds if the run had drawn ``samples``."""
    drawn = type("Drawn", (), {"data": samples})
    monkeypatch.setattr(nearest, "kept_samples", lambda run: drawn)
    return STUDY.measure(reproduced, tmp_path)


def test_copies_are_found_and_drawn(reproduced, tmp_path, monkeypatch, training):
    found = measured(reproduced, tmp_path, monkeypatch, training[::30])
    for space in ("pixels", "features"):
        assert found["median_distance"][space]["samples"] == pytest.approx(0, abs=1e-4)
        assert found["median_distance"][space]["held_out"] > 1e-3
    drawn = np.asarray(PIL.Image.open(tmp_path / "neighbours.png").convert("L"), float)
    tiles = drawn[drawn.shape[0] // 2]
    assert len(np.unique(tiles)) > 2


def test_distances_in_pixels_are_euclidean(reproduced, tmp_path, monkeypatch, training):
    shifted = training[:40] + 0.01
    found = measured(reproduced, tmp_path, monkeypatch, shifted)
    assert found["median_distance"]["pixels"]["samples"] == pytest.approx(0.08, rel=1e-3)
    held_out = next(read_examples(Digits().load(), "test", count=40, batch_size=40)).data
    gaps = np.linalg.norm((held_out[:, None] - training[None]).reshape(40, -1, 64), axis=2)
    expected = np.median(gaps.min(axis=1))
    assert found["median_distance"]["pixels"]["held_out"] == pytest.approx(expected, rel=1e-4)


def test_the_table_has_a_row_for_each_space(reproduced, tmp_path):
    head, _, *rows = STUDY.table(STUDY.measure(reproduced, tmp_path))
    assert [row.split("|")[1].strip() for row in rows] == ["pixels", "features"]
    assert all(row.count("|") == head.count("|") for row in rows)
