"""Tests of precision, recall, density and coverage against their definitions and known sets."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sde_jax.metrics import neighbours
from sde_jax.metrics.manifold import density_coverage, precision_recall


@pytest.fixture
def random():
    return np.random.default_rng(4)


def radii(y, k):
    return np.sort(cdist(y, y), axis=1)[:, k]


def precision(x, y, k):
    return (cdist(x, y) <= radii(y, k)).any(axis=1).mean()


def recall(x, y, k):
    return precision(y, x, k)


def density(x, y, k):
    return (cdist(x, y) < radii(y, k)).sum(axis=1).mean() / k


def coverage(x, y, k):
    return (cdist(x, y).min(axis=0) < radii(y, k)).mean()


def jackknife(metric, x, y, k):
    """Over tenths of both sets, each left out of all that it is in."""
    variances = []
    for replicates in (
        [metric(np.delete(x, np.s_[group::10], axis=0), y, k) for group in range(10)],
        [metric(x, np.delete(y, np.s_[group::10], axis=0), k) for group in range(10)],
    ):
        spread = np.asarray(replicates) - np.mean(replicates)
        variances.append(9 / 10 * (spread**2).sum())
    return np.sqrt(np.sum(variances))


@pytest.mark.parametrize("tile", [2**24, 200])
@pytest.mark.parametrize("k", [1, 4])
def test_definitions_and_errors_written_out(random, monkeypatch, k, tile):
    monkeypatch.setattr(neighbours, "TILE", tile)
    x, y = random.normal(size=(47, 2)) + 0.8, 1.3 * random.normal(size=(33, 2))
    near, dense = precision_recall(x, y, k=k), density_coverage(x, y, k=k)
    for metric, estimate in (
        (precision, near.precision),
        (recall, near.recall),
        (density, dense.density),
        (coverage, dense.coverage),
    ):
        np.testing.assert_allclose(estimate.value, metric(x, y, k), rtol=1e-12)
        np.testing.assert_allclose(estimate.stderr, jackknife(metric, x, y, k), rtol=1e-9)
        assert estimate.counts == (47, 33)


def test_known_sets(random):
    data = random.normal(size=(200, 3))
    same = precision_recall(data, data)
    assert same.precision.value == same.recall.value == 1
    assert density_coverage(data, data).coverage.value == 1
    far = precision_recall(data + 100, data)
    assert far.precision.value == far.recall.value == 0
    # One cluster of two: every sample is near data, and half of the data are near samples.
    clusters = np.concatenate([data, data + 100])
    fewer = random.normal(size=(200, 3)) * 0.5
    near = precision_recall(fewer, clusters)
    assert near.precision.value > 0.95
    assert near.recall.value <= 0.5
    # Of one law the density is 1 on average, and all but a share 2^-k of the data are covered.
    alike = density_coverage(random.normal(size=(1000, 3)), random.normal(size=(1000, 3)))
    assert abs(alike.density.value - 1) < 3 * alike.density.stderr
    assert abs(alike.coverage.value - (1 - 2**-5)) < 3 * alike.coverage.stderr


def test_errors_are_those_of_draws_or_larger(random):
    def draw():
        x, y = random.normal(size=(2, 150, 3))
        x = 1.3 * x + 0.4
        return (*precision_recall(x, y), *density_coverage(x, y))

    draws = np.asarray([[estimate[:2] for estimate in draw()] for _ in range(60)])
    spread = draws[:, :, 0].std(axis=0, ddof=1)
    ratio = np.sqrt((draws[:, :, 1] ** 2).mean(axis=0)) / spread
    assert (ratio > 0.85).all()
    assert (ratio < 2).all()


def test_what_is_refused(random):
    points = random.normal(size=(30, 3))
    with pytest.raises(ValueError, match="needs 8 images or more: got 2"):
        precision_recall(points[:2], points)
    with pytest.raises(ValueError, match="`k` must be at least 1: got 0"):
        density_coverage(points, points, k=0)
    with pytest.raises(ValueError, match="same dimension: got 3 and 2"):
        precision_recall(points, points[:, :2])
