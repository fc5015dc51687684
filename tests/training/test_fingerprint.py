import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.training import batch_sharding, data_mesh, replicate
from sde_jax.training.fingerprint import all_finite, checksum


def test_it_does_not_depend_on_the_devices(key):
    tree = {"a": jax.random.normal(key, (16, 5)), "b": jnp.int32(3)}
    expected = checksum(tree)
    for count in (1, 8):
        mesh = data_mesh(jax.devices()[:count])
        assert checksum(replicate(tree, mesh)) == expected
        sharded = {**tree, "a": jax.device_put(tree["a"], batch_sharding(mesh))}
        assert checksum(sharded) == expected


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32", "bfloat16", "float16"])
def test_every_bit_of_every_element_counts(dtype):
    size = 1 if dtype == "bool" else 8 * jnp.dtype(dtype).itemsize
    raw = np.arange(24, dtype=np.uint8) % 2
    whole = raw.view(jnp.dtype(dtype))
    seen = {checksum(whole)}
    flips = 0
    for element in range(len(whole)):
        for bit in range(size):
            flipped = raw.copy()
            flipped[element * whole.dtype.itemsize + bit // 8] ^= 1 << (bit % 8)
            seen.add(checksum(flipped.view(whole.dtype)))
            flips += 1
    assert len(seen) == flips + 1


def test_order_within_and_between_arrays_counts():
    x = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    variants = [[x, x + 1], [x + 1, x], [x.T, x + 1], [x[::-1], x + 1], [x * 0, x + 1]]
    assert len({checksum(variant) for variant in variants}) == len(variants)


def test_zeros_of_different_lengths_differ():
    assert checksum(np.zeros(8)) != checksum(np.zeros(9))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_bad_element_is_found(bad):
    tree = {"a": np.ones((3, 4), np.float32), "n": np.int32(5)}
    assert all_finite(tree)
    tree["a"][1, 2] = bad
    assert not all_finite(tree)
