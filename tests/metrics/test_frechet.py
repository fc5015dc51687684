"""Tests of the Fréchet distance against scipy's matrix root, closed forms and identities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from sde_jax.metrics.frechet import frechet_distance


def by_scipy(first, second):
    first, second = (np.asarray(x, np.float64) for x in (first, second))
    c1, c2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(c1 @ c2).real
    offset = first.mean(0) - second.mean(0)
    return offset @ offset + np.trace(c1 + c2 - 2 * root)


def lopsided(key, count, dimension):
    """Points of a random mean and covariance."""
    keys = jax.random.split(key, 3)
    mix = jax.random.normal(keys[0], (dimension, dimension))
    points = jax.random.normal(keys[1], (count, dimension)) @ mix
    return points + jax.random.normal(keys[2], (1, dimension))


@pytest.mark.parametrize("dimension", [2, 5, 30])
def test_it_is_that_of_scipy(key, dimension):
    key_first, key_second = jax.random.split(key)
    first, second = lopsided(key_first, 200, dimension), lopsided(key_second, 300, dimension)
    actual = frechet_distance(first, second)
    np.testing.assert_allclose(actual, by_scipy(first, second), rtol=1e-4)
    np.testing.assert_allclose(actual, frechet_distance(second, first), rtol=1e-4)


def test_one_dimension_in_closed_form():
    # Means 2 and 5; variances 4 (unbiased, of 0 and +-2) and 1: 9 + (2 - 1)^2.
    first = jnp.asarray([[0.0], [2.0], [4.0]])
    second = jnp.asarray([[4.0], [5.0], [6.0]])
    np.testing.assert_allclose(frechet_distance(first, second), 10, rtol=1e-6)


def test_a_shift_costs_its_square_and_a_scale_that_of_the_deviations(key):
    points = lopsided(key, 500, 3)
    shift = jnp.asarray([[1.0, -2.0, 2.0]])
    np.testing.assert_allclose(frechet_distance(points, points + shift), 9, rtol=1e-4)
    centred = points - points.mean(0, keepdims=True)
    variance = jnp.trace(jnp.cov(points, rowvar=False))
    np.testing.assert_allclose(frechet_distance(centred, 3 * centred), 4 * variance, rtol=1e-4)


def test_it_is_zero_for_equal_sets_and_singular_covariances(key):
    points = lopsided(key, 100, 4)
    scale = jnp.trace(jnp.cov(points, rowvar=False))
    assert abs(frechet_distance(points, points)) < 1e-3 * scale
    flat = points.at[:, 1:].set(0)
    # Along the line only: a flat set against its double costs the variance.
    variance = jnp.var(flat[:, 0], ddof=1)
    offset = flat.mean(0, keepdims=True)
    distance = frechet_distance(flat - offset, 2 * (flat - offset))
    np.testing.assert_allclose(distance, variance, rtol=1e-3)
