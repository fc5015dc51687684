"""Tests of how samples and likelihoods are batched."""

import jax
import numpy as np
import pytest

from sde_jax.runs.generation import example_keys, whole_batches
from sde_jax.training.devices import data_mesh


def test_an_example_has_the_key_of_its_number(key):
    expected = [jax.random.key_data(jax.random.fold_in(key, number)) for number in (7, 8, 9)]
    np.testing.assert_array_equal(jax.random.key_data(example_keys(key, 7, 3)), expected)


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("count", [1, 8, 297, 10_000])
@pytest.mark.parametrize("batch_size", [1, 9, 256])
def test_batches_cover_all_and_fill_the_devices(devices, count, batch_size):
    size = whole_batches(batch_size, count, data_mesh(jax.devices()[:devices]))
    assert size % devices == 0
    assert size < batch_size + devices
    batches = -(-count // size)
    # Equal batches: the last one lacks less than one example for each batch and device.
    assert 0 <= batches * size - count < batches * devices
