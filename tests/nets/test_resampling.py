import jax
import numpy as np

from sde_jax.nets.resampling import downsample_mean, upsample_nearest


def test_upsampling_repeats_pixels(key):
    x = np.asarray(jax.random.normal(key, (2, 3, 5, 4)))
    expected = x.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(upsample_nearest(x), expected)


def test_downsampling_averages_two_by_two_pixels(key):
    x = np.asarray(jax.random.normal(key, (2, 6, 4, 3)))
    expected = sum(x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4
    np.testing.assert_allclose(downsample_mean(x), expected, atol=1e-6)
