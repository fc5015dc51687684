"""Simulation-based calibration of posteriors that are known."""

import numpy as np
import pytest
from scipy.stats import norm

from sde_jax.metrics import simulation_based_calibration

NOISE = 0.5


def linear_gaussian(*, spread=1.0, shift=0.0, count=400, samples=99, parameters=2):
    """Calibration of the posterior of ``x = parameters + NOISE n``, widened and shifted in units
    of its deviation."""
    rng = np.random.default_rng(1)
    true = rng.normal(size=(count, parameters))
    x = true + NOISE * rng.normal(size=true.shape)
    mean, deviation = x / (1 + NOISE**2), NOISE / (1 + NOISE**2) ** 0.5
    noise = rng.normal(size=(count, samples, parameters))
    drawn = (mean + shift * deviation)[:, None] + spread * deviation * noise
    return simulation_based_calibration(true, drawn)


def test_ranks_count_the_samples_below():
    true = np.array([[0.5, -1.0], [2.0, 0.0]])
    samples = np.array([[[0.4, 0.0], [0.6, 1.0], [0.1, -2.0]], [[0.0, 1.0], [1.0, 1.0], [0.5, 2]]])
    found = simulation_based_calibration(true, samples)
    np.testing.assert_array_equal(found.ranks, [[2, 1], [3, 0]])
    assert found.samples == 3


def test_an_exact_posterior_is_calibrated():
    found = linear_gaussian()
    assert found.p_value() > 0.05
    for credibility in (0.5, 0.9):
        covered = found.coverage(credibility)
        assert covered.value == pytest.approx(credibility, abs=3 * covered.stderr)
        assert 0 < covered.stderr < 0.03
    assert found.coverage(0.0).value == pytest.approx(0, abs=0.02)
    assert found.coverage(1.0) == (1.0, 0.0, (400,))


def test_p_values_of_exact_posteriors_are_uniform():
    found = linear_gaussian(count=300, parameters=100).p_values()
    assert (found < 0.1).mean() == pytest.approx(0.1, abs=0.09)
    assert found.mean() == pytest.approx(0.5, abs=0.09)


@pytest.mark.parametrize("wrong", [{"spread": 0.7}, {"spread": 1.4}, {"shift": 0.4}])
def test_a_wrong_posterior_is_refused(wrong):
    assert linear_gaussian(**wrong).p_value() < 1e-4


def test_a_narrow_posterior_covers_as_little_as_it_must():
    spread = 0.7
    found = linear_gaussian(spread=spread, samples=999)
    # The true value is normal about the mean of the posterior.
    expected = 2 * norm.cdf(spread * norm.ppf(0.95)) - 1
    covered = found.coverage(0.9)
    assert covered.value == pytest.approx(expected, abs=3 * covered.stderr)


def test_the_bins_of_the_test_have_enough_ranks():
    for count, samples in ((15, 7), (37, 99), (1000, 10), (1000, 99)):
        counts, expected = linear_gaussian(count=count, samples=samples).histogram()
        assert expected.sum() == pytest.approx(count)
        assert expected.min() > 4
        np.testing.assert_array_equal(counts.sum(axis=1), count)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"got \(3, 2\) and \(3, 5\)"):
        simulation_based_calibration(np.ones((3, 2)), np.ones((3, 5)))
    with pytest.raises(ValueError, match=r"of two simulations or more"):
        simulation_based_calibration(np.ones((1, 2)), np.ones((1, 5, 2)))
    with pytest.raises(ValueError, match="must be finite"):
        simulation_based_calibration(np.ones((3, 2)), np.full((3, 5, 2), np.nan))
