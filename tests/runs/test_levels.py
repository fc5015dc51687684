import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.data import ImageScaling, PointScaling
from sde_jax.runs.levels import eight_bit, from_levels, to_levels


@pytest.mark.parametrize(("levels", "dtype"), [(17, np.uint8), (256, np.uint8), (1000, np.uint16)])
def test_levels_are_kept_exactly(levels, dtype):
    scaling = ImageScaling(levels=levels)
    x = scaling.dequantize(jnp.arange(levels), jnp.linspace(0, 0.999, levels))
    data = np.asarray(scaling.to_unit(x))
    stored = to_levels(data, scaling)
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, np.arange(levels))
    np.testing.assert_array_equal(from_levels(stored, scaling), data)


def test_points_are_as_they_are():
    points = np.float32([[0.3, -7.0]])
    np.testing.assert_array_equal(to_levels(points, PointScaling()), points)
    np.testing.assert_array_equal(from_levels(points, PointScaling()), points)


def test_eight_bits_are_rounded_not_cut_off():
    levels = np.arange(256)
    np.testing.assert_array_equal(eight_bit(np.float32(levels) / np.float32(255)), levels)
    # Half a level, for digits: 255 / 16 = 15.94 is 16, 5 * 255 / 16 = 79.69 is 80.
    np.testing.assert_array_equal(eight_bit(np.float32([0, 1 / 16, 5 / 16, 1.2])), [0, 16, 80, 255])
