"""Rows of the comparison with sbi, and its kept results."""

import pytest

from benchmarks import simulators
from benchmarks.row import BenchmarkOptions
from benchmarks.simulators import Posteriors, compare, kept, small
from experiments.simulators import two_moons
from sde_jax.data import DataNotFoundError


def test_accuracies_are_compared_observation_by_observation():
    ours = Posteriors("ours", [0.5, 0.6, 0.7], 10.0)
    theirs = Posteriors("NPSE", [0.6, 0.7, 0.8], 15.0)
    accuracy, seconds = compare("two_moons", ours, theirs)
    assert accuracy.ours.value == pytest.approx(0.6)
    assert accuracy.ours.high == pytest.approx(0.6 + 0.1 / 3**0.5)
    assert accuracy.ratio == pytest.approx((0.7 / 0.6,) * 3)
    assert accuracy.reached and "exceeds ours by 0.100 +- 0.000" in accuracy.checked
    assert seconds.ratio.value == pytest.approx(1.5)
    assert seconds.reached is False


def test_the_result_of_the_peer_is_kept(tmp_path, monkeypatch):
    found = Posteriors("NPSE of sbi 1", [0.5, 0.6], 3.0)
    monkeypatch.setattr(simulators, "their_posteriors", lambda *args: found)
    assert kept("NPSE", two_moons().data, [], tmp_path / "two_moons") == found
    monkeypatch.setattr(simulators, "their_posteriors", None)
    assert kept("NPSE", two_moons().data, [], tmp_path / "two_moons") == found


def test_missing_observations_are_named(monkeypatch):
    def missing(name):
        raise DataNotFoundError("pip install --no-deps sbibm")

    monkeypatch.setattr(simulators, "observations", missing)
    (row,) = simulators.rows(BenchmarkOptions(quick=True))
    assert row.missing.endswith("pip install --no-deps sbibm")


def test_a_quick_comparison_is_small():
    experiment = small(two_moons())
    assert experiment.data.count == 500
    assert experiment.training.steps == 100
