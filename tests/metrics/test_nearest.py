"""Tests of nearest neighbours against scipy's distances of all pairs in float64."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sde_jax.metrics import nearest as module
from sde_jax.metrics.nearest import nearest_neighbours


def brute_force(rows, among, k):
    """Distances and indices, of equal ones the lowest."""
    rows, among = (np.float32(x).reshape(len(x), -1).astype(float) for x in (rows, among))
    distances = cdist(rows, among)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, indices, axis=1), indices


def hold(rows, among, k):
    found = nearest_neighbours(rows, among, k)
    distances, indices = brute_force(rows, among, k)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.indices, indices)


@pytest.fixture
def small_tiles(monkeypatch):
    """Several of each, the last ones partial."""
    monkeypatch.setattr(module, "ROWS", 40)
    monkeypatch.setattr(module, "TILE", 70)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("shape", [(5,), (4, 3, 2)])
def test_neighbours_are_those_of_all_pairs(small_tiles, shape, k):
    generator = np.random.default_rng(k)
    hold(generator.random((101, *shape)), generator.random((305, *shape)), k)


def test_few_rows(small_tiles):
    generator = np.random.default_rng(0)
    hold(generator.random((1, 4)), generator.random((3, 4)), 3)
    hold(generator.random((3, 4)), generator.random((1, 4)), 1)


def test_of_equally_near_rows_the_lowest_come_first(small_tiles):
    # Whole numbers have exact distances: 81 different rows, 305 times, are far more than spare.
    generator = np.random.default_rng(0)
    hold(generator.integers(0, 3, (50, 4)), generator.integers(0, 3, (305, 4)), 2)


@pytest.mark.parametrize("sides", [[1], [1, -1]])
def test_differences_below_the_rounding_of_squares_are_seen(small_tiles, sides):
    # In float32 the squared norms of about 1e8 are rounded to 8; squared distances are about 1.
    generator = np.random.default_rng(0)
    rows = 5000 + generator.normal(size=(60, 4))
    clusters = [5000 * side + generator.normal(size=(100, 4)) for side in sides]
    hold(rows, np.concatenate(clusters), 2)


def test_rows_of_the_set_are_nearest_to_themselves():
    among = np.random.default_rng(0).random((40, 6))
    found = nearest_neighbours(among[::-1], among)
    np.testing.assert_array_equal(found.distances, 0)
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(40)[::-1])


def test_the_closest_come_first():
    found = nearest_neighbours(np.array([[5.0], [1.5], [9.0], [5.5]]), np.array([[1.0], [9.0]]))
    np.testing.assert_array_equal(found.closest(3), [2, 1, 3])


@pytest.mark.parametrize(
    ("rows", "among", "k", "complaint"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), 1, r"of one shape: got \(3,\) and \(4,\)"),
        (np.ones((2, 3)), np.ones((2, 3)), 3, "`k` must be in 1..2, .*: got 3"),
        (np.ones((2, 3)), np.ones((2, 3)), 0, "`k` must be in 1..2, .*: got 0"),
        (np.ones((0, 3)), np.ones((2, 3)), 1, r"got shape \(0, 3\)"),
        (np.ones(2), np.ones(2), 1, r"got shape \(2,\)"),
        (np.full((2, 3), np.nan), np.ones((2, 3)), 1, "must be finite"),
    ],
)
def test_what_is_refused(rows, among, k, complaint):
    with pytest.raises(ValueError, match=complaint):
        nearest_neighbours(rows, among, k)
