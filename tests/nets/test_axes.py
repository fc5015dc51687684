"""U-Nets on series, rectangles and volumes: against numpy, and against each other."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from parameters import random_parameters
from test_unet_options import hold_to_oracle

from sde_jax.nets.ddpm import DDPMSpec
from sde_jax.nets.ncsnpp import NCSNppSpec
from sde_jax.nets.pooled_unet import PooledUNetSpec

SMALL = {"channels": 8, "multipliers": (1, 1), "blocks_per_level": 1}
FIR = {"resampling_filter": (1, 3, 3, 1)}
SEPARATE = {"block": "ddpm", "progressive_input": "residual", "progressive_output": "residual"}
SKIPS = {"progressive_input": "input_skip", "progressive_output": "output_skip", "combine": "cat"}
slow = pytest.mark.slow("test_ncsnpp_against_numpy")


@pytest.mark.parametrize(
    "options, sizes",
    [
        ({"attention_resolutions": (12,), **FIR, **SEPARATE}, (11,)),
        ({"attention_resolutions": (2,), **FIR, **SKIPS}, (3, 4, 2)),
        pytest.param({"attention_resolutions": (4,), **SKIPS}, (4, 4, 3), marks=slow),
        pytest.param({"attention_resolutions": (4,), **SEPARATE}, (2, 3, 4), marks=slow),
        pytest.param({"attention_resolutions": (4,), **SKIPS, **FIR}, (8,), marks=slow),
        pytest.param({"attention_resolutions": (8,), **SEPARATE}, (5, 8), marks=slow),
    ],
)
def test_ncsnpp_against_numpy(options, sizes):
    spec = NCSNppSpec(axes=len(sizes), **SMALL, **options)
    hold_to_oracle(spec, 2, ddpm=False, sizes=sizes)


@pytest.mark.slow("test_ncsnpp_against_numpy")
@pytest.mark.parametrize("sizes", [(6,), (2, 6), (2, 3, 4)])
def test_ddpm_against_numpy(sizes):
    spec = DDPMSpec(axes=len(sizes), **{**SMALL, "channels": 32}, attention_resolutions=(6,))
    hold_to_oracle(spec, 1, ddpm=True, sizes=sizes)


@functools.partial(jax.jit, static_argnums=0)
def apply(network, params, x, time):
    return network.apply({"params": params}, x, time)


def inputs(*sizes):
    rng = np.random.default_rng(1)
    return rng.normal(size=(2, *sizes)).astype(np.float32), np.array([3.0, 700.0], np.float32)


def over_kernels(change, params):
    """Changes the kernels of convolutions, which have an axis or more."""
    return jax.tree.map(lambda leaf: change(leaf) if leaf.ndim > 2 else leaf, params)


def test_a_transposed_rectangle_by_the_transposed_network():
    spec = NCSNppSpec(**SMALL, **FIR, **SKIPS, attention_resolutions=(12,))
    network, (x, time) = spec.build().clone(precision="highest"), inputs(16, 24, 1)
    params = random_parameters(network, x, time)
    turned = over_kernels(lambda kernel: kernel.swapaxes(0, 1), params)
    output = apply(network, params, x, time)
    across = apply(network, turned, x.swapaxes(1, 2), time)
    np.testing.assert_allclose(across.swapaxes(1, 2), output, atol=1e-4 * np.abs(output).max())
    assert np.abs(apply(network, params, x.swapaxes(1, 2), time) - across).max() > 0.1


def with_one_axis_more(kernel):
    """The kernel that does the same on each line of a new first axis, and nothing along it."""
    if len(kernel) == 2:
        return np.stack([kernel, kernel])
    return np.stack([np.zeros_like(kernel), kernel, np.zeros_like(kernel)])


@pytest.mark.parametrize(
    "spec",
    [
        PooledUNetSpec(axes=1, widths=(8, 8)),
        pytest.param(NCSNppSpec(axes=1, **SMALL, attention_resolutions=(4,)), marks=slow),
    ],
    ids=["pooled", "ncsnpp"],
)
def test_a_signal_that_is_constant_along_an_axis_is_one_without_it(spec):
    x, time = inputs(7, 2)
    network = spec.build().clone(precision="highest")
    params = random_parameters(network, x, time, scale=0.3)
    output = apply(network, params, x, time)
    for axes in (2, 3):
        network = dataclasses.replace(spec, axes=axes).build().clone(precision="highest")
        params = over_kernels(with_one_axis_more, params)
        x = np.stack([x] * 4, axis=1)
        output = np.stack([output] * 4, axis=1)
        np.testing.assert_allclose(apply(network, params, x, time), output, atol=1e-4)


def test_what_sizes_are_padded_to():
    spec = NCSNppSpec(channels=8, multipliers=(1, 2, 2))
    assert spec.padded((16, 24, 3)) == (16, 24, 3)
    assert spec.padded((13, 1, 3)) == (16, 4, 3)
    assert dataclasses.replace(spec, axes=1).padded((5, 1)) == (8, 1)
    assert PooledUNetSpec(axes=3, widths=(8, 8)).padded((8, 2, 9, 1)) == (8, 4, 12, 1)
