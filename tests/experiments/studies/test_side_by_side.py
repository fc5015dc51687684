"""Three samplers side by side, of a small run."""

import jax
import numpy as np
import PIL.Image
import pytest
from tiny import untrained

from experiments.flowers import flowers_vp
from experiments.studies import side_by_side
from experiments.studies.side_by_side import SideBySide


def measure(run, pictures):
    """The study of one run, and what it finds."""
    study = SideBySide(runs=(("digits", run.name),), count=16)
    return study, study.measure(run.parent, pictures)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a small run."""
    return untrained("digits", tmp_path_factory.mktemp("runs") / "digits")


@pytest.mark.slow("test_training_images_are_at_no_distance")
def test_three_samplers_are_drawn_and_measured(run, tmp_path):
    study, found = measure(run, tmp_path)
    _, em, pc, ode = found["rows"]
    assert (em["evaluations"], pc["evaluations"]) == (5, 9)
    assert ode["evaluations"] > 10
    drawn = np.asarray(PIL.Image.open(tmp_path / f"{run.name}.png").convert("L"))
    assert drawn.shape[1] > 2 * drawn.shape[0] and len(np.unique(drawn)) > 16
    _, _, *rows = study.table(found)
    assert "| training |" in rows[0] and "predictor-corrector" in rows[2]


def test_training_images_are_at_no_distance(run, tmp_path, monkeypatch):
    def training(self, run, sampler):
        batch = next(run.source.batches(jax.random.key(0), "train", 1000))
        images = np.asarray(run.layout.scaling.to_unit(batch.x))
        return images, {"sampler": sampler, "evaluations": 0.0, "seconds_per_image": 0.0}

    monkeypatch.setattr(SideBySide, "_drawn", training)
    data, *rows = measure(run, tmp_path)[1]["rows"]
    for row in rows:
        value, stderr = row["kernel_distance"]
        assert abs(value) < 3 * stderr
        for name in ("difference", "at_an_end"):
            assert row[name][0] == pytest.approx(data[name][0], rel=0.1)


def test_speckle_and_strong_colours_are_seen():
    """A board of .4 and .6 differs by .2 from field to field; half of the other is at an end."""
    board = 0.5 + 0.1 * (-1.0) ** np.indices((8, 8)).sum(axis=0)
    ends = np.full((8, 8), 0.5)
    ends[:2], ends[2:4] = 0.0, 1.0
    images = np.stack([board, board, ends, ends])[..., None]
    assert side_by_side.looks(images[:2])["difference"] == pytest.approx([0.2, 0.0])
    assert side_by_side.looks(images[2:])["at_an_end"] == pytest.approx([0.5, 0.0])
    assert side_by_side.looks(images)["at_an_end"] == pytest.approx([0.25, 0.5 / 12**0.5])


def test_an_epoch_is_230_batches_and_there_are_200():
    """Of 8,189 flowers, 1,020 + 1,020 + 6,149, nine tenths of each split train."""
    size = 918 + 918 + 5534
    training = flowers_vp().training
    assert round(training.steps * training.batch_size / size) == 200
