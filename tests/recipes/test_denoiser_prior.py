"""Denoisers as priors: their samples, likelihoods and report, in seconds."""

import numpy as np
import PIL.Image
import pytest
from in_process import succeed
from tiny import untrained

from experiments.studies import residuals


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained("denoiser_prior", tmp_path_factory.mktemp("prior") / "run")


def test_its_report_has_four_uses_of_the_residuals(run, tmp_path, monkeypatch):
    monkeypatch.setattr(residuals, "COUNT", 64)
    monkeypatch.setattr(residuals, "UNSCALED_STEPS", 20)
    results = residuals.Residuals(run=run.name).measure(run.parent, tmp_path)
    distances = results["kernel_distance"]
    assert list(distances) == ["subtracted", "unscaled", "blind", "told"]
    assert all(np.isfinite(distance["value"]) for distance in distances.values())
    with PIL.Image.open(tmp_path / "residuals.png") as picture:
        assert picture.width > 4 * 6 * 64


@pytest.mark.slow(
    "tests/recipes/test_generative_kinds.py"
    "::test_every_kind_is_updated_drawn_and_measured_in_shapes"
)
def test_samples_and_likelihoods_are_those_of_the_told_denoiser(run, tmp_path):
    results = succeed("sample", run, "--steps", 5, "--count", 4, "--out", tmp_path / "x.npz")
    assert results["nfe"] == 6
    assert succeed("likelihood", run, "--count", 4, "--tolerance", 0.1)["failed"] == []
