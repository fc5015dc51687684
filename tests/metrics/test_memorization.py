"""Tests of memorization: identities, scipy's test, and the errors over many draws."""

import numpy as np
import pytest
from scipy.stats import kstest, mannwhitneyu

from sde_jax.metrics.memorization import closeness, detect_memorization


def draws(seed, *counts, dimension=3):
    generator = np.random.default_rng(seed)
    return [0.7 + 0.4 * generator.standard_normal((count, dimension)) for count in counts]


def test_training_images_are_memorized():
    training, held_out = draws(0, 300, 120)
    found = detect_memorization(training[:50], held_out, training, neighbours=3)
    assert found.samples.distances.shape == (50, 3)
    assert found.held_out.distances.shape == (120, 1)
    closer, near = found.closeness.closer, found.closeness.near
    assert closer == (1, 0, (50, 120))
    assert (near.value, near.stderr) == (1, 0)
    assert found.closeness.p_value < 1e-20


@pytest.mark.parametrize(("step", "tied"), [(0, False), (0.5, True)])
def test_the_statistic_is_that_of_scipy(step, tied):
    generator = np.random.default_rng(0)
    samples, held_out = generator.gamma(3, 1, 80), generator.gamma(3, 1.3, 130)
    if tied:
        samples, held_out = (np.floor(x / step) for x in (samples, held_out))
    found = closeness(samples, held_out)
    options = {"alternative": "greater", "method": "asymptotic", "use_continuity": False}
    expected = mannwhitneyu(held_out, samples, **options)
    np.testing.assert_allclose(found.closer.value, expected.statistic / (80 * 130), rtol=1e-12)
    np.testing.assert_allclose(found.p_value, expected.pvalue, rtol=1e-9)


def test_equal_distances_say_nothing():
    found = closeness(np.ones(4), np.ones(5))
    assert (found.closer.value, found.z, found.p_value) == (0.5, 0, 0.5)


def test_what_one_example_leaves_unknown():
    assert np.isnan(closeness(np.ones(1), np.ones(5)).closer.stderr)


@pytest.mark.parametrize(("held_out", "expected"), [(297, 2 / 298), (50, 1 / 51), (999, 0.01)])
def test_near_is_the_first_hundredth(held_out, expected):
    distances = np.arange(held_out, dtype=float)
    bound = round(expected * (held_out + 1)) - 1
    found = closeness(np.array([bound - 0.5, bound, bound + 0.5, 1e6]), distances)
    assert found.near.value == 0.25
    np.testing.assert_allclose(found.near_expected, expected)


@pytest.mark.slow("test_the_statistic_is_that_of_scipy")
def test_held_out_data_are_no_closer_within_the_errors():
    """Over many draws of samples and held-out examples, of one set of training examples."""
    (training,) = draws(1, 400)
    found = []
    for seed in range(150):
        samples, held_out = draws(seed + 2, 150, 250)
        found.append(detect_memorization(samples, held_out, training).closeness)
    closer, near = (np.array([getattr(x, name)[:2] for x in found]) for name in ("closer", "near"))
    assert kstest([x.p_value for x in found], "uniform").pvalue > 0.01
    for measured, expected in ((closer, 0.5), (near, found[0].near_expected)):
        spread = measured[:, 0].std()
        assert abs(measured[:, 0].mean() - expected) < 3 * spread / np.sqrt(len(found))
        np.testing.assert_allclose(np.sqrt((measured[:, 1] ** 2).mean()), spread, rtol=0.25)


def test_the_error_is_right_where_samples_are_closer():
    generator = np.random.default_rng(0)
    found = [
        closeness(generator.gamma(3, 1, 150), generator.gamma(3, 1.6, 200)).closer[:2]
        for _ in range(150)
    ]
    values, errors = np.array(found).T
    assert values.mean() > 0.7
    np.testing.assert_allclose(np.sqrt((errors**2).mean()), values.std(), rtol=0.15)
