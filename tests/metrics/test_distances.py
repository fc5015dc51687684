import numpy as np
import scipy.spatial.distance

from sde_jax.metrics.distances import largest_distance


def test_it_is_that_of_all_pairs():
    points = np.random.default_rng(0).normal(3.0, 2.0, (1100, 5))
    expected = scipy.spatial.distance.pdist(points).max()
    np.testing.assert_allclose(largest_distance(points), expected, rtol=1e-12)


def test_bytes_neither_wrap_around_nor_lose_the_pair():
    """All alike but for a black one and a white one, far from each other in the list."""
    points = np.full((1500, 12), 200, np.uint8)
    points[3], points[1400] = 0, 255
    np.testing.assert_allclose(largest_distance(points), 255 * 12**0.5)


def test_a_point_is_at_no_distance_from_itself():
    assert largest_distance(np.array([[1.0, 2.0]])) == 0
    assert largest_distance(np.ones((3, 2))) == 0
