"""Posteriors of simulators against those of sbibm, whose files are compared where it is installed.

The likelihoods below are derived from the definitions of the tasks, not from our simulators.
"""

import bz2
import importlib.util
import types

import numpy as np
import pytest
from scipy.stats import chi2, kstest, multivariate_normal, norm, truncnorm

from experiments.studies import posterior_quality, sbibm_files
from experiments.studies.posterior_quality import PosteriorQuality, calibration
from experiments.studies.sbibm_files import (
    OBSERVATIONS,
    Observation,
    observations,
    read_observation,
)
from sde_jax.data import DataNotFoundError, GaussianLinearUniform, TwoMoons
from sde_jax.metrics import Estimate

installed = pytest.mark.skipif(
    importlib.util.find_spec("sbibm") is None, reason="needs pip install --no-deps sbibm"
)
LEAST = 1e-4
"""Least p-value of a test among many."""


def half_ring(parameters, x):
    """Radius and angle, in units of a half turn from 0 to 1, of two moons."""
    p, q = parameters.T
    u = x[..., 0] - 0.25 + np.abs(p + q) / 2**0.5
    v = x[..., 1] - (q - p) / 2**0.5
    return np.hypot(u, v), np.arctan2(v, u) / np.pi + 0.5


def squares_of_slcp(parameters, x):
    """Squared Mahalanobis distances of four points, of 8 degrees of freedom together."""
    first, second, correlation = parameters[2] ** 2, parameters[3] ** 2, np.tanh(parameters[4])
    off = correlation * first * second
    covariance = np.array([[first**2, off], [off, second**2]])
    left = x.reshape(4, 2) - parameters[:2]
    return np.einsum("ni,ij,nj->", left, np.linalg.inv(covariance), left)


@installed
def test_stored_observations_are_likely_under_their_parameters():
    moons = observations("two_moons")
    rings = [half_ring(one.parameters[None], one.x) for one in moons]
    radii, angles = np.squeeze(rings).T
    assert kstest(radii, norm(0.1, 0.01).cdf).pvalue > LEAST
    assert kstest(angles, "uniform").pvalue > LEAST
    slcp = [squares_of_slcp(one.parameters, one.x) for one in observations("slcp")]
    assert LEAST < chi2.sf(sum(slcp), 80) < 1 - LEAST
    linear = [
        ((one.x - one.parameters) ** 2).sum() for one in observations("gaussian_linear_uniform")
    ]
    assert LEAST < chi2.sf(sum(linear) / 0.1, 100) < 1 - LEAST
    mixture = np.stack([one.x - one.parameters for one in observations("gaussian_mixture")])
    narrow = np.abs(mixture).max(axis=1) < 0.35
    assert 0 < narrow.sum() < 10
    assert np.abs(mixture).max() < 5


@installed
def test_stored_posteriors_are_those_of_the_definitions():
    """One observation of each is enough to see another constant."""
    moons = observations("two_moons")[0]
    radii, angles = half_ring(moons.posterior, moons.x)
    assert kstest(radii, norm(0.1, 0.01).cdf).pvalue > LEAST
    assert kstest(angles, "uniform").pvalue > LEAST

    linear, deviation = observations("gaussian_linear_uniform")[0], 0.1**0.5
    for column, centre in zip(linear.posterior.T, linear.x, strict=True):
        bounds = (-1 - centre) / deviation, (1 - centre) / deviation
        assert kstest(column, truncnorm(*bounds, centre, deviation).cdf).pvalue > LEAST

    mixture = observations("gaussian_mixture")[1]
    gaussians = [multivariate_normal(mixture.x, deviation**2) for deviation in (1, 0.1)]
    grid = np.stack(np.meshgrid(*[np.linspace(-10, 10, 2001)] * 2, indexing="ij"), axis=-1)
    density = sum(one.pdf(grid) for one in gaussians)
    marginal = np.cumsum(density.sum(axis=1)) / density.sum()

    def distribution(values):
        return np.interp(values, grid[:, 0, 0] + 0.005, marginal)

    assert kstest(mixture.posterior[:, 0], distribution).statistic < 0.02


def test_files_of_an_observation_are_read(tmp_path, monkeypatch):
    for number in range(1, OBSERVATIONS + 1):
        folder = tmp_path / "sbibm" / "tasks" / "mine" / "files" / f"num_observation_{number}"
        folder.mkdir(parents=True)
        (folder / "observation.csv").write_text(f"data_1,data_2\n{number},2.5\n")
        (folder / "true_parameters.csv").write_text("parameter_1\n-1e-3\n")
        samples = bz2.compress(b"parameter_1\n1.0\n2.0\n3.0\n")
        (folder / "reference_posterior_samples.csv.bz2").write_bytes(samples)
    found = read_observation(folder)
    np.testing.assert_array_equal(found.x, [10, 2.5])
    np.testing.assert_array_equal(found.parameters, [-1e-3])
    np.testing.assert_array_equal(found.posterior, [[1], [2], [3]])
    package = types.SimpleNamespace(origin=str(tmp_path / "sbibm" / "__init__.py"))
    monkeypatch.setattr(sbibm_files.importlib.util, "find_spec", lambda name: package)
    assert [one.x[0] for one in observations("mine")] == [*range(1, OBSERVATIONS + 1)]
    monkeypatch.setattr(sbibm_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataNotFoundError, match="pip install --no-deps sbibm"):
        observations("mine")


def truncated(centre, count, spread, rng):
    """Samples of the posterior of `GaussianLinearUniform`, if ``spread`` is 1."""
    centre, scale = np.broadcast_to(centre, (count, 10)), spread * 0.1**0.5
    bounds = (-1 - centre) / scale, (1 - centre) / scale
    return truncnorm.rvs(*bounds, centre, scale, random_state=rng)


class ExactRun:
    """A run whose samples are those of the exact posterior, widened."""

    def __init__(self, path, spread=1.0):
        self.path, self.spread, self.rng = path, spread, np.random.default_rng(0)
        self.experiment = types.SimpleNamespace(data=GaussianLinearUniform())

    def sample(self, key, count, condition, *, batch_size):
        return types.SimpleNamespace(x=truncated(condition, count, self.spread, self.rng))


def test_an_exact_posterior_is_calibrated_and_a_narrow_one_is_not(monkeypatch):
    monkeypatch.setattr(posterior_quality, "CALIBRATED", 200)
    monkeypatch.setattr(posterior_quality, "RANKED", 19)
    assert calibration(ExactRun(""), GaussianLinearUniform()).p_value() > 0.01
    assert calibration(ExactRun("", 0.6), GaussianLinearUniform()).p_value() < 1e-6


def test_the_report_has_an_accuracy_for_each_observation(tmp_path, monkeypatch):
    monkeypatch.setattr(posterior_quality, "COUNT", 300)
    monkeypatch.setattr(posterior_quality, "CALIBRATED", 60)
    monkeypatch.setattr(posterior_quality, "RANKED", 19)
    monkeypatch.setattr(posterior_quality, "training_seconds", lambda directory: 60.0)
    monkeypatch.setattr(posterior_quality.RunDirectory, "open", lambda path: path)
    monkeypatch.setattr(posterior_quality, "open_run", lambda path: ExactRun(path))
    rng = np.random.default_rng(5)
    parameters, simulations = GaussianLinearUniform().draw(rng, 3)
    known = [
        Observation(x, true, truncated(x, 300, 1.0, rng))
        for true, x in zip(parameters, simulations, strict=True)
    ]
    monkeypatch.setattr(posterior_quality, "observations", lambda task: known)
    accuracies = iter((0.5, 0.6, 0.7))

    def test(reference, samples):
        np.testing.assert_allclose(reference.mean(axis=0), samples.mean(axis=0), atol=0.1)
        return Estimate(next(accuracies), 0.01, (300, 300))

    monkeypatch.setattr(posterior_quality, "classifier_two_sample", test)
    report = PosteriorQuality(run="mine")
    found = report.measure(tmp_path, tmp_path)
    assert found["C2ST"] == pytest.approx({"value": 0.6, "stderr": 0.1 / 3**0.5})
    assert found["C2ST of each"] == {"1": 0.5, "2": 0.6, "3": 0.7}
    assert found["uniform ranks"]["p"] > 0.001
    assert found["seconds"]["training"] == 60
    assert {path.name for path in tmp_path.glob("*.png")} == {"accuracies.png", "ranks.png"}
    heading, _, row = report.table(found)
    assert heading.startswith(
        "|  | C2ST | largest | uniform ranks: p | coverage of 90% intervals |"
    )
    assert row.startswith("| `mine` | 0.600 ± 0.058 | 0.700 | ")
    assert " | 60 | " in row


def test_every_task_has_its_name():
    assert posterior_quality.TASKS[TwoMoons] == "two_moons"
    assert len(posterior_quality.TASKS) == 4
