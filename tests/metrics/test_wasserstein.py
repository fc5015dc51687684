"""Tests of the Wasserstein distances against scipy, closed forms and identities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from sde_jax.metrics.wasserstein import sliced_wasserstein_2, wasserstein_1

sliced = jax.jit(sliced_wasserstein_2, static_argnames="projections")


def test_wasserstein_1_is_that_of_scipy(key):
    key_first, key_second = jax.random.split(key)
    first = jax.random.gamma(key_first, 0.7, (200,))
    second = 0.7 + 0.4 * jax.random.normal(key_second, (200,))
    expected = scipy.stats.wasserstein_distance(np.asarray(first), np.asarray(second))
    np.testing.assert_allclose(wasserstein_1(first, second), expected, rtol=1e-5)


def test_wasserstein_1_in_closed_form():
    first, second = jnp.asarray([5.0, 0.0, 2.0]), jnp.asarray([4.0, 8.0, 0.0])
    # Sorted 0, 2, 5 and 0, 4, 8.
    np.testing.assert_allclose(wasserstein_1(first, second), 5 / 3)
    np.testing.assert_allclose(wasserstein_1(first, first + 3), 3)
    assert wasserstein_1(first, first[::-1]) == 0


def test_sliced_wasserstein_2_of_a_shift(key):
    # Along a direction at angle a a shift s moves by |s| cos(a): mean square |s|^2 / 2 in a plane.
    points = jax.random.normal(key, (50, 2))
    shift = jnp.asarray([[3.0, 4.0]])
    distance = sliced(key, points, points + shift, projections=20_000)
    np.testing.assert_allclose(distance, 5 / 2**0.5, rtol=0.02)
    assert sliced(key, points, points[::-1], projections=20_000) == 0


def test_sliced_wasserstein_2_in_one_dimension_is_of_sorted_numbers(key):
    first, second = jax.random.normal(key, (2, 30, 1))
    gaps = np.sort(first, axis=0) - np.sort(second, axis=0)
    distance = sliced(key, first, second, projections=3)
    np.testing.assert_allclose(distance, (gaps**2).mean() ** 0.5, rtol=1e-5)


def test_sliced_wasserstein_2_of_a_scale(key):
    # Projected on a unit vector, x and 2 x differ by the projection, whose variance is 1.
    points = jax.random.normal(key, (5000, 3))
    np.testing.assert_allclose(sliced(key, points, 2 * points), 1, rtol=0.05)


def test_sets_of_different_sizes_are_refused(key):
    with pytest.raises(ValueError, match="same size: got 3 and 4"):
        wasserstein_1(jnp.zeros(3), jnp.zeros(4))
    with pytest.raises(ValueError, match="same size: got 3 and 4"):
        sliced_wasserstein_2(key, jnp.zeros((3, 2)), jnp.zeros((4, 2)))
