"""Tests of the ring's measures: fresh data passes them all, each control fails one."""

import jax
import numpy as np
import pytest

from experiments.studies.ring_quality import LIMITS, controls, measures
from sde_jax.data import Ring

COUNT = 5000


def points(key, count=COUNT):
    return jax.jit(jax.vmap(Ring().sample))(jax.random.split(key, count)).x


@pytest.fixture(scope="module")
def data():
    return points(jax.random.key(1))


@pytest.fixture(scope="module")
def measured(data):
    found = controls(jax.random.key(2), data)
    assert all(x.shape == (COUNT, 2) for x in found.values())
    return {name: measures(x, data) for name, x in found.items()}


def beyond(values):
    return {name for name, limit in LIMITS.items() if values[name] > limit}


def test_fresh_data_is_within_all_limits(measured):
    assert set(measured["fresh_data"]) == set(LIMITS)
    assert beyond(measured["fresh_data"]) == set()


def test_a_blob_has_the_covariance_and_not_the_ring(measured):
    assert beyond(measured["blob"]) == {"radius_w1", "sliced_w2"}


def test_half_a_ring_has_the_radius_and_not_the_angle(measured):
    assert beyond(measured["collapsed"]) == {"w2_squared", "angle_w1", "sliced_w2"}


def test_a_point_is_beyond_every_limit_but_that_of_nothing(data):
    with pytest.warns(UserWarning, match="ranks 0 and 2"):
        values = measures(np.ones_like(data), data)
    assert beyond(values) == set(LIMITS)


def test_a_thicker_ring_is_seen(key, data):
    thick = jax.vmap(Ring(deviation=0.2).sample)(jax.random.split(key, COUNT)).x
    # The mean distance of sorted N(0, .2) and N(0, .1) is .1 E|n| = .08.
    values = measures(thick, data)
    np.testing.assert_allclose(values["radius_w1"], 0.1 * (2 / np.pi) ** 0.5, rtol=0.05)
    assert "radius_w1" in beyond(values)
