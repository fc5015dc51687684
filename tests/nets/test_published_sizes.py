"""The published networks at full size, shapes only: their parameters, and images up to 1024."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import pytest
from published import spec_of

from sde_jax.nets.ddpm import DDPMSpec
from sde_jax.nets.ncsnpp import NCSNppSpec

DDPMPP = NCSNppSpec()
NCSNPP = NCSNppSpec(resampling_filter=(1, 3, 3, 1), progressive_input="residual")
CONTINUOUS = dataclasses.replace(NCSNPP, embedding="fourier", centered=False, scale_by_sigma=True)
SKIPS = dataclasses.replace(
    CONTINUOUS, progressive_input="input_skip", progressive_output="output_skip", dropout=0.0
)
LARGE = dataclasses.replace(SKIPS, multipliers=(1, 1, 2, 2, 2, 2, 2), blocks_per_level=2)
LARGEST = dataclasses.replace(
    SKIPS, channels=16, multipliers=(1, 2, 4, 8, 16, 32, 32, 32), blocks_per_level=1
)


def deep(spec):
    return dataclasses.replace(spec, blocks_per_level=8)


def slow(*case):
    return pytest.param(*case, marks=pytest.mark.slow)


@functools.cache
def parameters(spec, size):
    """How many there are, of a network that keeps the shape of images of that size."""
    x = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    time = jax.ShapeDtypeStruct((2,), jnp.float32)
    initialize = spec.build().init_with_output
    output, variables = jax.eval_shape(initialize, jax.random.key(0), x, time)
    assert (output.shape, output.dtype) == (x.shape, x.dtype)
    return sum(leaf.size for leaf in jax.tree.leaves(variables))


@pytest.mark.parametrize(
    "spec, size, count",
    [
        slow(DDPMPP, 32, 61_804_419),
        slow(deep(DDPMPP), 32, 106_632_579),
        slow(NCSNPP, 32, 62_693_251),
        slow(NCSNPP, 64, 62_693_251),
        (CONTINUOUS, 32, 62_758_915),
        slow(deep(CONTINUOUS), 32, 107_587_075),
        slow(LARGE, 256, 65_574_549),
        slow(LARGEST, 1024, 105_785_896),
        (DDPMSpec(), 32, 35_218_947),
        slow(DDPMSpec(multipliers=(1, 1, 2, 2, 4, 4)), 256, 111_569_923),
    ],
)
def test_parameters_at_full_size(spec, size, count):
    assert parameters(spec, size) == count


@pytest.fixture
def configurations(shared):
    return json.loads((shared / "checkpoints" / "configurations.json").read_text())


def hold_to_count(configuration):
    spec = spec_of(configuration["model"], configuration["data"])
    count = parameters(spec, configuration["data"]["image_size"])
    assert count == configuration["counts"].get("parameters", count)


@pytest.mark.parametrize("name", ["subvp/cifar10_ddpmpp_continuous", "vp/ddpm/cifar10"])
def test_a_published_configuration(configurations, name):
    assert "parameters" in configurations[name]["counts"]
    hold_to_count(configurations[name])


@pytest.mark.slow("test_parameters_at_full_size")
def test_every_published_configuration(configurations):
    assert len(configurations) == 28
    for configuration in configurations.values():
        hold_to_count(configuration)


def test_unconditional_network_lacks_the_time_layers():
    """Two dense layers, and one in each of 22 blocks: 5 of width 128 and 17 of width 256."""
    unconditional = parameters(DDPMSpec(conditional=False), 32)
    widths = [128] * 5 + [256] * 17
    layers = 128 * 512 + 512 + 512 * 512 + 512 + sum(512 * width + width for width in widths)
    assert unconditional == parameters(DDPMSpec(), 32) - layers
