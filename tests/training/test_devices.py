import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from sde_jax.training import data_mesh, on_each_device, pad_batch, replicate, shard_batch


def collatz_steps(shared, numbers):
    """Steps of each number until it is 1, and the iterations that its device made."""

    def cond(carry):
        return (carry[0] > 1).any()

    def body(carry):
        n, steps, iterations = carry
        following = jnp.where(n % 2 == 0, n // 2, 3 * n + shared)
        return jnp.where(n > 1, following, n), steps + (n > 1), iterations + 1

    zeros = jnp.zeros_like(numbers)
    _, steps, iterations = jax.lax.while_loop(cond, body, (numbers, zeros, zeros))
    return steps, iterations


def test_each_device_loops_on_its_own():
    mesh = data_mesh()
    assert mesh.size == 8
    numbers = jnp.array([1, 2, 27, 1, 6, 7, 8, 9, 1, 1, 1, 1, 1, 1, 4, 1])
    steps, iterations = jax.jit(on_each_device(collatz_steps, mesh))(jnp.int32(1), numbers)
    expected = [0, 1, 111, 0, 8, 16, 3, 19, 0, 0, 0, 0, 0, 0, 2, 0]
    np.testing.assert_array_equal(steps, expected)
    np.testing.assert_array_equal(iterations, np.repeat(np.reshape(expected, (8, 2)).max(1), 2))
    assert steps.sharding.spec == PartitionSpec("data")


def test_one_key_per_example_gives_the_same_on_any_number_of_devices(key):
    def draw(scale, keys, x):
        return x + scale * jax.vmap(jax.random.normal)(keys)

    keys, x = jax.random.split(key, 16), jnp.arange(16.0)
    results = [
        jax.jit(on_each_device(draw, data_mesh(jax.devices()[:count])))(jnp.float32(2), keys, x)
        for count in (1, 8)
    ]
    np.testing.assert_array_equal(*map(np.asarray, results))
    np.testing.assert_allclose(results[0], x + 2 * jax.vmap(jax.random.normal)(keys), rtol=1e-6)


def test_padding_repeats_the_last_example(key):
    keys = jax.random.split(key, 3)
    padded = pad_batch({"x": np.arange(6.0).reshape(3, 2), "key": keys, "none": None}, 5)
    np.testing.assert_array_equal(padded["x"], [[0, 1], [2, 3], [4, 5], [4, 5], [4, 5]])
    assert (padded["key"] == keys[jnp.array([0, 1, 2, 2, 2])]).all()
    whole = {"x": np.ones(5)}
    assert pad_batch(whole, 5) is whole


def test_padding_errors():
    with pytest.raises(ValueError, match="a batch of 3 examples cannot be padded to `size` = 2"):
        pad_batch(np.ones(3), 2)
    with pytest.raises(ValueError, match="a batch of 0 examples"):
        pad_batch(np.ones(0), 2)
    with pytest.raises(ValueError, match="`size` must be a multiple of the 8 devices: got 12"):
        shard_batch(np.ones(3), data_mesh(), 12)


def test_partial_batches_are_spread_over_the_devices():
    batch = shard_batch(jnp.arange(11.0), data_mesh(), 16)
    assert batch.sharding.spec == PartitionSpec("data")
    assert {shard.data.shape for shard in batch.addressable_shards} == {(2,)}
    np.testing.assert_array_equal(batch, [*range(11), 10, 10, 10, 10, 10])


def test_replicated_arrays_are_whole_everywhere():
    x = replicate(jnp.arange(3), data_mesh())
    assert len(x.addressable_shards) == 8
    assert x.is_fully_replicated
