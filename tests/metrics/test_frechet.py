"""Tests of the Fréchet distance against scipy's matrix root, closed forms and identities."""

import dataclasses

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from sde_jax.metrics.frechet import (
    FittedGaussian,
    finite_sample_bias,
    fit_gaussian,
    frechet_distance,
)
from sde_jax.metrics.moments import moments_of


@pytest.fixture
def random():
    return np.random.default_rng(0)


def fitted(points):
    return fit_gaussian(moments_of(points))


def fixed(points):
    return dataclasses.replace(fitted(points), groups=())


def in_groups(points):
    return fit_gaussian(*(moments_of(points[group::10]) for group in range(10)))


def by_scipy(first, second):
    c1, c2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(c1 @ c2).real
    offset = first.mean(0) - second.mean(0)
    return offset @ offset + np.trace(c1 + c2 - 2 * root)


def lopsided(random, count, dimension):
    """Points of a random mean and covariance."""
    mix = random.normal(size=(dimension, dimension))
    return random.normal(size=(count, dimension)) @ mix + random.normal(size=dimension)


@pytest.mark.parametrize("dimension", [2, 5, 30])
def test_it_is_that_of_scipy(random, dimension):
    first, second = lopsided(random, 200, dimension), lopsided(random, 300, dimension)
    distance = frechet_distance(fitted(first), in_groups(second))
    np.testing.assert_allclose(distance.value, by_scipy(first, second), rtol=1e-10)
    swapped = frechet_distance(fitted(second), fitted(first))
    np.testing.assert_allclose(distance.value, swapped.value, rtol=1e-10)
    assert distance.counts == (200, 300)
    assert not distance.rank_deficient


def test_known_gaussians_in_closed_form(random):
    # Covariances of the same axes: the roots of their eigenvalues differ by 1, 2 and 0.
    axes = scipy.stats.ortho_group.rvs(3, random_state=1)
    means = np.zeros(3), np.asarray([1.0, -2.0, 2.0])
    covariances = [(axes * np.square(roots)) @ axes.T for roots in ([1, 5, 2], [2, 3, 2])]
    first, second = (
        FittedGaussian(mean, covariance)
        for mean, covariance in zip(means, covariances, strict=True)
    )
    np.testing.assert_allclose(frechet_distance(first, second).value, 9 + 1 + 4, rtol=1e-12)


def test_one_dimension_in_closed_form():
    # Means 2 and 5; variances 4 (unbiased, of 0 and +-2) and 1: 9 + (2 - 1)^2.
    first, second = fitted([[0.0], [2.0], [4.0]]), fitted([[4.0], [5.0], [6.0]])
    np.testing.assert_allclose(frechet_distance(first, second).value, 10, rtol=1e-12)


def test_a_shift_costs_its_square_and_a_scale_that_of_the_deviations(random):
    points = lopsided(random, 500, 3)
    shifted = fitted(points + [1.0, -2.0, 2.0])
    np.testing.assert_allclose(frechet_distance(fitted(points), shifted).value, 9, rtol=1e-10)
    centred = points - points.mean(0)
    tripled = frechet_distance(fitted(centred), fitted(3 * centred)).value
    variance = np.trace(np.cov(points, rowvar=False))
    np.testing.assert_allclose(tripled, 4 * variance, rtol=1e-10)


def test_singular_covariances_are_computed_and_marked(random):
    points = lopsided(random, 100, 4)
    assert abs(frechet_distance(fitted(points), fitted(points)).value) < 1e-10
    flat = points.copy()
    flat[:, 1:] = 0
    flat -= flat.mean(0)
    # Along the line only: a flat set against its double costs the variance.
    with pytest.warns(UserWarning, match="4 features have ranks 1 and 1"):
        distance = frechet_distance(fitted(flat), fitted(2 * flat))
    np.testing.assert_allclose(distance.value, np.var(flat[:, 0], ddof=1), rtol=1e-10)
    assert distance.rank_deficient


def test_two_images_are_a_gaussian_along_a_line(random):
    with pytest.warns(UserWarning, match="ranks 1 and 4"):
        distance = frechet_distance(fitted(lopsided(random, 2, 4)), fitted(lopsided(random, 9, 4)))
    assert distance.ranks == (1, 4)
    with pytest.raises(ValueError, match="2 images or more: got 1"):
        fitted(lopsided(random, 1, 4))


def test_the_error_is_the_spread_over_independent_draws(random):
    def draw():
        first, second = random.normal(size=(2, 200, 4))
        return frechet_distance(in_groups(first), in_groups(1.3 * second + 0.4))

    distances = [draw() for _ in range(60)]
    spread = np.std([distance.value for distance in distances], ddof=1)
    errors = np.asarray([distance.stderr for distance in distances])
    assert 0.75 < np.sqrt((errors**2).mean()) / spread < 1.4


def test_a_fixed_set_adds_no_error(random):
    first, second = lopsided(random, 200, 3), lopsided(random, 300, 3)
    both = frechet_distance(in_groups(first), in_groups(second)).stderr
    one = frechet_distance(in_groups(first), fixed(second)).stderr
    other = frechet_distance(fixed(first), in_groups(second)).stderr
    np.testing.assert_allclose(both**2, one**2 + other**2, rtol=1e-10)
    # Each replicate is the distance of the other nine tenths.
    replicates = [
        by_scipy(np.delete(first, np.s_[group::10], axis=0), second) for group in range(10)
    ]
    np.testing.assert_allclose(one, np.std(replicates) * 3, rtol=1e-8)


@pytest.mark.parametrize(("count", "expected"), [(1000, 2.208), (10_000, 0.2208)])
def test_bias_of_64_unit_dimensions(random, count, expected):
    # To second order D (D + 5) / 2n: see `test_bias_of_few_images` for what that lacks.
    bias = finite_sample_bias(np.ones(64), count, count)
    np.testing.assert_allclose(bias, expected, rtol=5e-3)
    halves = random.normal(size=(2, count, 64))
    distance = frechet_distance(*map(in_groups, halves))
    np.testing.assert_allclose(distance.bias, bias, rtol=3 / count**0.5)
    assert abs(distance.value - distance.bias) < 3 * distance.stderr
    # The relative deviation of the distance of halves is 2 / D.
    np.testing.assert_allclose(distance.value, bias, rtol=4 * 2 / 64)


@pytest.mark.parametrize("counts", [(30, 20), (4, 5), (3, 100)])
def test_bias_of_few_images(random, counts):
    variances = np.asarray([4, 1, 0.5, 0.1, 0.02])
    distances = []
    for _ in range(2000):
        parts = [random.normal(size=(count, 5)) * np.sqrt(variances) for count in counts]
        means = [part.mean(0) for part in parts]
        roots = [
            (part - mean) / np.sqrt(len(part) - 1) for part, mean in zip(parts, means, strict=True)
        ]
        overlap = scipy.linalg.svdvals(roots[0] @ roots[1].T).sum()
        traces = sum((root**2).sum() for root in roots)
        distances.append(((means[0] - means[1]) ** 2).sum() + traces - 2 * overlap)
    bias = finite_sample_bias(variances, *counts)
    np.testing.assert_allclose(bias, np.mean(distances), rtol=0.05 if counts == (30, 20) else 0.15)


def test_other_dimensions_are_refused(random):
    with pytest.raises(ValueError, match="same dimension: got 3 and 4"):
        frechet_distance(fitted(lopsided(random, 9, 3)), fitted(lopsided(random, 9, 4)))
