import jax
import jax.numpy as jnp
import numpy as np
import pytest
import unet_oracle

from sde_jax.nets.resampling import Downsample, Upsample, downsample, upsample

FILTERS = [(1,), (1, 1), (1, 2), (1, 2, 1), (1, 3, 3, 1), (5, 1, 0, 2), (1, 4, 6, 4, 1), (1,) * 6]
each_filter = pytest.mark.parametrize("taps", FILTERS, ids=str)


def test_upsampling_repeats_pixels(key):
    x = np.asarray(jax.random.normal(key, (2, 3, 5, 4)))
    expected = x.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(upsample(x), expected)


def test_downsampling_averages_two_by_two_pixels(key):
    x = np.asarray(jax.random.normal(key, (2, 6, 4, 3)))
    expected = sum(x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4
    np.testing.assert_allclose(downsample(x), expected, atol=1e-6)


@each_filter
def test_filtering(taps, key):
    x = np.asarray(jax.random.normal(key, (2, 6, 8, 3)))
    for ours, oracle in [(upsample, unet_oracle.upsample), (downsample, unet_oracle.downsample)]:
        expected = oracle(np.float64(x), taps)
        np.testing.assert_allclose(ours(x, taps), expected, atol=1e-5)


@pytest.mark.parametrize("taps", [None, *FILTERS], ids=str)
@pytest.mark.parametrize(
    "module, oracle",
    [(Upsample, unet_oracle.upsample_convolve), (Downsample, unet_oracle.convolve_downsample)],
)
def test_resampling_with_convolution(module, oracle, taps, key):
    keys = jax.random.split(key, 3)
    x = jax.random.normal(keys[0], (2, 6, 8, 3))
    layer = {
        "kernel": jax.random.normal(keys[1], (3, 3, 3, 5)),
        "bias": jax.random.normal(keys[2], (5,)),
    }
    output = module(5, taps).apply({"params": {"Conv_0": layer}}, x)
    expected = oracle(*jax.tree.map(np.float64, (np.asarray(x), layer)), taps)
    np.testing.assert_allclose(output, expected, atol=1e-4)


@pytest.mark.parametrize("taps", [(1, 1), (1, 3, 3, 1), (1, 2, 3, 3, 2, 1)], ids=str)
def test_filters_that_fill_in_pixels_evenly_keep_the_inside_of_a_constant(taps):
    x = jnp.full((1, 16, 16, 1), 0.7)
    np.testing.assert_allclose(upsample(x, taps)[0, 4:-4, 4:-4], 0.7, rtol=1e-6)
    np.testing.assert_allclose(downsample(x, taps)[0, 3:-3, 3:-3], 0.7, rtol=1e-6)


@each_filter
def test_filtering_halves_and_doubles_the_smallest_images(taps):
    for size in (2, 6):
        assert downsample(jnp.ones((1, size, size, 2)), taps).shape == (1, size // 2, size // 2, 2)
        assert upsample(jnp.ones((1, size, size, 2)), taps).shape == (1, 2 * size, 2 * size, 2)


def test_filtering_in_bfloat16_stays_so(key):
    x = jax.random.normal(key, (2, 8, 8, 3))
    for resample in (upsample, downsample):
        low = resample(x.astype(jnp.bfloat16), (1, 3, 3, 1))
        assert low.dtype == jnp.bfloat16
        np.testing.assert_allclose(low.astype(jnp.float32), resample(x, (1, 3, 3, 1)), atol=0.05)
