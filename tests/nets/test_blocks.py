import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parameters import random_parameters

from sde_jax.initialization import initialize
from sde_jax.nets.blocks import AttentionBlock, GroupNorm, ResidualBlock, initializer
from sde_jax.nets.resampling import downsample, upsample


def normal(*shape):
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("channels, groups", [(6, 1), (16, 4), (256, 32)])
def test_group_norm(channels, groups):
    x = 3 + 2 * normal(2, 4, 4, channels)
    module = GroupNorm()
    params = random_parameters(module, x)
    grouped = np.asarray(x, np.float64).reshape(2, 16, groups, channels // groups)
    mean, variance = (f(grouped, axis=(1, 3), keepdims=True) for f in (np.mean, np.var))
    normalized = ((grouped - mean) / np.sqrt(variance + 1e-6)).reshape(x.shape)
    expected = normalized * np.asarray(params["scale"]) + np.asarray(params["bias"])
    np.testing.assert_allclose(jax.jit(module.apply)({"params": params}, x), expected, atol=1e-5)


def test_group_norm_survives_a_large_mean():
    x = 1e4 + normal(1, 8, 8, 8)
    params = {"params": {"scale": np.ones(8), "bias": np.zeros(8)}}
    output = jax.jit(GroupNorm().apply)(params, x)
    np.testing.assert_allclose(np.std(output), 1.0, atol=1e-3)


def test_group_norm_refuses_channels_that_do_not_divide(key):
    with pytest.raises(ValueError, match="cannot divide 144 channels into 32 groups: use"):
        GroupNorm().init(key, jnp.zeros((1, 2, 2, 144)))
    with pytest.raises(ValueError, match="cannot divide 3 channels into 0 groups"):
        GroupNorm().init(key, jnp.zeros((1, 2, 2, 3)))


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.0])
def test_initializer_has_the_variance_of_the_mean_fan(scale, key):
    kernel = np.asarray(initializer(scale)(key, (3, 3, 40, 60)))
    variance = (scale or 1e-10) / (9 * 50)
    assert np.abs(kernel).max() <= np.sqrt(3 * variance)
    np.testing.assert_allclose(kernel.var(), variance, rtol=0.05)


@pytest.mark.parametrize("resample", [None, upsample, downsample])
def test_residual_block_starts_as_its_shortcut(resample, key):
    x, embedding = normal(2, 4, 4, 8), np.ones((2, 16), np.float32)
    params = initialize(ResidualBlock(8, resample), key, x, embedding)
    shortcut = x
    if resample is not None:
        shortcut = np.asarray(resample(x)) @ np.asarray(params["shortcut"]["kernel"])
    for skip_rescale, expected in ((False, shortcut), (True, shortcut / np.sqrt(2))):
        module = ResidualBlock(8, resample, skip_rescale=skip_rescale)
        output = module.apply({"params": params}, x, embedding)
        np.testing.assert_allclose(output, expected, atol=1e-3)


def test_residual_block_drops_only_when_told():
    x, embedding = normal(2, 4, 4, 8), np.ones((2, 16), np.float32)
    module = ResidualBlock(8, dropout=0.5)
    params = random_parameters(module, x, embedding)

    @functools.partial(jax.jit, static_argnums=1)
    def output(seed, deterministic):
        rngs = {"dropout": jax.random.key(seed)}
        return module.apply(
            {"params": params}, x, embedding, deterministic=deterministic, rngs=rngs
        )

    np.testing.assert_array_equal(output(1, True), output(2, True))
    assert np.abs(output(1, False) - output(2, False)).max() > 0.01


@pytest.mark.parametrize("skip_rescale", [True, False])
def test_attention_block(skip_rescale):
    x = normal(2, 3, 3, 8)
    module = AttentionBlock(skip_rescale)
    params = random_parameters(module, x)
    norm = GroupNorm().apply({"params": params["GroupNorm_0"]}, x)
    h = np.asarray(norm, np.float64).reshape(2, 9, 8)
    query, key_, value = (
        h @ np.asarray(params[name]["kernel"]) + np.asarray(params[name]["bias"])
        for name in ("query", "key", "value")
    )
    weights = np.exp(query @ key_.transpose(0, 2, 1) / np.sqrt(8))
    h = (weights / weights.sum(axis=2, keepdims=True)) @ value
    h = h @ np.asarray(params["output"]["kernel"]) + np.asarray(params["output"]["bias"])
    expected = (np.asarray(x) + h.reshape(x.shape)) / (np.sqrt(2) if skip_rescale else 1)
    np.testing.assert_allclose(module.apply({"params": params}, x), expected, atol=1e-5)


def plain_and_rematerialized(key):
    """How both apply, and their inputs."""
    x, embedding = normal(1, 4, 4, 8), normal(1, 5)
    plain, again = (ResidualBlock(16, dropout=0.5, rematerialize=flag) for flag in (False, True))
    shapes = [jax.eval_shape(block.init, key, x, embedding) for block in (plain, again)]
    assert shapes[0] == shapes[1]
    apply = [
        functools.partial(block.apply, deterministic=False, rngs={"dropout": key})
        for block in (plain, again)
    ]
    return apply, ({"params": random_parameters(plain, x, embedding)}, x, embedding)


@pytest.mark.slow("test_a_rematerialized_block_keeps_nothing_inside")
def test_a_rematerialized_block_has_the_same_gradients(key):
    apply, inputs = plain_and_rematerialized(key)
    gradients = [
        jax.jit(jax.grad(lambda *inputs, f=f: (f(*inputs) ** 2).sum(), argnums=(0, 1, 2)))(*inputs)
        for f in apply
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), *gradients)


def test_a_rematerialized_block_keeps_nothing_inside(key):
    apply, inputs = plain_and_rematerialized(key)
    kept = [jax.eval_shape(lambda *inputs, f=f: jax.vjp(f, *inputs)[1], *inputs) for f in apply]
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in (*kept, inputs)]
    assert sizes[1] <= sizes[2] + 16 < sizes[0]
