import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.data import ImageScaling, PointScaling


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("levels", [2, 17, 256, 65536])
def test_every_level_survives_dequantization(levels, centered, key):
    scaling = ImageScaling(levels=levels, centered=centered)
    grey = jnp.arange(levels)
    below_one = np.nextafter(np.float32(1), np.float32(0))
    for u in [jnp.zeros(levels), jnp.full(levels, below_one), jax.random.uniform(key, (levels,))]:
        x = scaling.dequantize(grey, u)
        assert x.dtype == jnp.float32
        assert x.min() >= (-1 if centered else 0) and x.max() <= 1
        np.testing.assert_array_equal(scaling.to_levels(x), grey)


@pytest.mark.parametrize("centered", [True, False])
def test_levels_without_noise_are_spread_from_end_to_end(centered):
    scaling = ImageScaling(levels=17, centered=centered)
    placed = scaling.place(jnp.arange(17))
    np.testing.assert_allclose(placed, np.linspace(-1 if centered else 0, 1, 17), atol=1e-6)
    np.testing.assert_array_equal(scaling.to_levels(placed), np.arange(17))


def test_dequantization_fills_the_interval_evenly(key):
    """Uniform levels and noise give a uniform x: mean 0, variance 1/3."""
    key_level, key_noise = jax.random.split(key)
    n = 100_000
    levels = jax.random.randint(key_level, (n,), 0, 17)
    x = ImageScaling(levels=17).dequantize(levels, jax.random.uniform(key_noise, (n,)))
    assert abs(x.mean()) < 5 * math.sqrt(1 / 3 / n)
    assert abs((x**2).mean() - 1 / 3) < 5 * math.sqrt(4 / 45 / n)


@pytest.mark.parametrize("centered", [True, False])
def test_a_level_is_its_bin(centered):
    """The middle of bin ``k`` of [-1, 1], or of [0, 1]."""
    scaling, grey = ImageScaling(levels=8, centered=centered), jnp.arange(8)
    middles = (np.arange(8) + 0.5) / 8
    x = scaling.dequantize(grey, jnp.full(8, 0.5))
    np.testing.assert_allclose(x, 2 * middles - 1 if centered else middles)
    np.testing.assert_allclose(scaling.to_unit(x), np.arange(8) / 7, rtol=1e-6)


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("levels", [17, 256])
def test_log_determinant_is_that_of_the_map(levels, centered):
    scaling = ImageScaling(levels=levels, centered=centered)
    # Moving a level by one and moving the noise by one are the same; the noise is differentiable.
    slope = jax.grad(scaling.dequantize, argnums=1)(jnp.asarray(levels // 2), 0.3)
    np.testing.assert_allclose(scaling.log_det_per_dimension, jnp.log(slope), rtol=1e-6)
    step = scaling.dequantize(jnp.asarray(1), 0.3) - scaling.dequantize(jnp.asarray(0), 0.3)
    np.testing.assert_allclose(slope, step, rtol=1e-5)


@pytest.mark.parametrize("centered, bits", [(True, 7), (False, 8)])
def test_the_published_offsets(centered, bits):
    scaling = ImageScaling(levels=256, centered=centered)
    assert scaling.log_det_per_dimension / math.log(2) == pytest.approx(-bits)


def test_uniform_density_over_the_cube_costs_log2_levels_bits():
    """A model that knows nothing, p(x) = 1/2 on [-1, 1], needs log2 L bits for each of L levels."""
    scaling = ImageScaling(levels=17)
    nats = math.log(0.5) + scaling.log_det_per_dimension
    assert -nats / math.log(2) == pytest.approx(math.log2(17))


def test_to_unit_ends_and_clips():
    scaling = ImageScaling(levels=17)
    unit = scaling.to_unit(jnp.asarray([-3.0, -1.0, 0.0, 0.999, 1.0, 9.0]))
    assert unit.dtype == jnp.float32
    np.testing.assert_allclose(unit, [0, 0, 0.5, 1, 1, 1])


def test_points_stay_where_they_are():
    x = jnp.asarray([[0.7, -40.0]])
    np.testing.assert_array_equal(PointScaling().to_unit(x), x)
    assert PointScaling().log_slope(x) == 0


@pytest.mark.parametrize("levels", [1, 0, 65537])
def test_levels_out_of_range(levels):
    with pytest.raises(ValueError, match=rf"`levels` must be in 2..65536: got {levels}"):
        ImageScaling(levels=levels)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("centered", [True, False])
def test_a_level_in_the_unit_range_stands_in_the_middle_of_its_bin(levels, centered):
    scaling = ImageScaling(levels=levels, centered=centered)
    level = jnp.arange(levels)
    unit = level / jnp.float32(levels - 1)
    middle = scaling.dequantize(level, jnp.full(levels, 0.5))
    np.testing.assert_allclose(scaling.from_unit(unit), middle, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(scaling.to_unit(scaling.from_unit(unit)), unit)
    between = jnp.linspace(0, 1, 50)
    there_and_back = scaling.to_unit_unrounded(scaling.from_unit(between))
    np.testing.assert_allclose(there_and_back, between, rtol=0, atol=2e-6)
    outside = scaling.to_unit_unrounded(jnp.asarray([-9.0, 9.0]))
    np.testing.assert_array_equal(outside, [0.0, 1.0])
