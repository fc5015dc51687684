"""Denoisers as priors, from training to the report, in seconds."""

import numpy as np
import PIL.Image
import pytest
from in_process import succeed

from experiments.studies.residuals import Residuals

TINY = [
    *("--network.channels", 4, "--network.multipliers", 1, "--network.attention-resolutions", 1),
    *("--training.batch-size", 16, "--training.steps", 4, "--training.eval-every", 4),
    *("--training.eval-examples", 16, "--evaluation.sampling.steps", 3),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior") / "run"
    return folder, succeed("train", "digits_denoiser_prior", "--workdir", folder, *TINY)


def test_its_report_has_four_uses_of_the_residuals(run, tmp_path):
    folder, _ = run
    results = Residuals(run=folder.name).measure(folder.parent, tmp_path)
    distances = results["kernel_distance"]
    assert list(distances) == ["subtracted", "unscaled", "blind", "told"]
    assert all(np.isfinite(distance["value"]) for distance in distances.values())
    with PIL.Image.open(tmp_path / "residuals.png") as picture:
        assert picture.width > 4 * 6 * 64


def test_samples_and_likelihoods_are_those_of_the_told_denoiser(run, tmp_path):
    folder, _ = run
    results = succeed("sample", folder, "--steps", 5, "--count", 4, "--out", tmp_path / "x.npz")
    assert results["nfe"] == 6
    assert succeed("likelihood", folder, "--count", 4, "--tolerance", 0.1)["failed"] == []
