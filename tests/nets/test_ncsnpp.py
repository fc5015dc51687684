import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parameters import random_parameters

from sde_jax.initialization import initialize
from sde_jax.nets.condition import Condition
from sde_jax.nets.ddpm import DDPM, DDPMSpec
from sde_jax.nets.mlp import MLP, MLPSpec
from sde_jax.nets.ncsnpp import NCSNpp, NCSNppSpec

SPEC = NCSNppSpec(
    channels=8,
    multipliers=(1,),
    blocks_per_level=1,
    attention_resolutions=(8,),
    dropout=0.3,
    classes=3,
)
NETWORK = NCSNpp(SPEC)
FILTERED = NCSNppSpec(
    channels=8,
    multipliers=(1, 2),
    blocks_per_level=1,
    resampling_filter=(1, 3, 3, 1),
    progressive_input="residual",
    progressive_output="output_skip",
)
SMALLEST = NCSNpp(
    NCSNppSpec(channels=8, multipliers=(1,), blocks_per_level=1, attention_resolutions=())
)


@pytest.fixture(scope="module")
def inputs():
    x = np.random.default_rng(1).normal(size=(3, 8, 8, 2)).astype(np.float32)
    return x, np.array([1.0, 300.0, 999.0], np.float32)


@pytest.fixture(scope="module")
def params(inputs):
    return random_parameters(NETWORK, *inputs)


@pytest.fixture(scope="module")
def initial(inputs):
    return jax.jit(lambda key: initialize(SMALLEST, key, *inputs))(jax.random.key(0))


@functools.partial(jax.jit, static_argnums=0, static_argnames="deterministic")
def apply(network, params, *args, **kwargs):
    return network.apply({"params": params}, *args, **kwargs)


def relative_difference(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.slow("tests/nets/test_blocks.py::test_initializer_has_the_variance_of_the_mean_fan")
def test_initial_scales(key):
    """Layers start with variance 1 / fan; but .1 / fan before attention, 0 where blocks end."""
    spec = NCSNppSpec(channels=32, multipliers=(1,), blocks_per_level=1, init_scale=0.25)

    def scales(spec):
        params = initialize(spec.build(), key, jnp.zeros((1, 4, 4, 3)), jnp.zeros(1))
        found = {}
        for path, leaf in jax.tree.leaves_with_path(params):
            if path[-1].key == "kernel" and min(leaf.shape[-2:]) > 8:
                fan = np.prod(leaf.shape[:-2]) * np.mean(leaf.shape[-2:])
                found.setdefault(path[-2].key, []).append(fan * np.var(leaf))
        return {name: np.mean(values) for name, values in found.items()}

    expected = {"Conv_0": 1, "Conv_1": 0.25, "time": 1, "shortcut": 1, "Dense_0": 1, "Dense_1": 1}
    expected |= {"query": 0.1, "key": 0.1, "value": 0.1, "output": 0.25}
    assert scales(spec) == pytest.approx(expected, rel=0.1)
    ddpm = DDPMSpec(channels=32, multipliers=(1,), blocks_per_level=1)
    ends = {"Conv_1": 1e-10, "output": 1e-10, "shortcut": 0.1}
    assert scales(ddpm) == pytest.approx(expected | ends, rel=0.1)


@pytest.mark.parametrize(
    "size, channels, levels",
    [
        (8, 1, 4),
        (30, 4, 2),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [(12, 3, 3), (64, 3, 4), (1024, 3, 8)]
        ),
    ],
)
def test_every_divisible_size_and_channel_count(size, channels, levels, key):
    network = NCSNpp(NCSNppSpec(channels=8, multipliers=(1,) * levels, blocks_per_level=1))
    x = jax.ShapeDtypeStruct((2, size, size, channels), jnp.float32)
    time = jax.ShapeDtypeStruct((2,), jnp.float32)
    output, _ = jax.eval_shape(network.init_with_output, key, x, time)
    assert output.shape == x.shape
    assert output.dtype == jnp.float32


def test_attention_is_where_the_resolution_is_listed(key):
    def blocks(*resolutions):
        spec = NCSNppSpec(
            channels=8,
            multipliers=(1, 1, 1),
            blocks_per_level=2,
            attention_resolutions=resolutions,
        )
        shapes = jax.eval_shape(NCSNpp(spec).init, key, jnp.zeros((1, 32, 32, 3)), jnp.zeros(1))
        return sum("Attention" in name for name in shapes["params"])

    # One in the middle; at a listed resolution two on the way down and one on the way up.
    assert [blocks(16, 8), blocks(5)] == [7, 1]


def test_output_starts_at_zero(initial, inputs):
    output = apply(SMALLEST, initial, *inputs)
    assert 0 < np.abs(output).max() < 1e-3


@pytest.mark.parametrize("example", range(3))
def test_examples_are_independent(params, inputs, example):
    """All others change: images, times and order."""
    x, time = inputs
    others = 0.5 - x[[1, 2, 0]], time[[1, 2, 0]] + 3
    others[0][example], others[1][example] = x[example], time[example]
    output, changed = apply(NETWORK, params, x, time), apply(NETWORK, params, *others)
    assert relative_difference(changed[example], output[example]) < 1e-5
    assert all(relative_difference(changed[i], output[i]) > 1e-3 for i in {0, 1, 2} - {example})


def test_time_label_and_image_change_the_output(params, inputs):
    x, time = inputs
    output = apply(NETWORK, params, x, time)
    assert relative_difference(apply(NETWORK, params, x, time + 5), output) > 1e-3
    label = Condition(label=jnp.array([1, -1, 2]))
    labelled = apply(NETWORK, params, x, time, label)
    assert relative_difference(labelled[0], output[0]) > 1e-3
    assert relative_difference(labelled[1], output[1]) < 1e-6
    # The first channel as data and the second as a conditioning image: the inputs are the same.
    image = Condition(image=x[..., 1:])
    last = params["Conv_1"]
    grey = {"kernel": last["kernel"][..., :1], "bias": last["bias"][:1]}
    conditioned = apply(NETWORK, {**params, "Conv_1": grey}, x[..., :1], time, image)
    assert relative_difference(conditioned, output[..., :1]) < 1e-5


@pytest.mark.slow("tests/nets/test_unet_options.py::test_ncsnpp")
def test_uncentered_images_are_shown_from_minus_one_to_one(params, inputs):
    x, time = inputs
    image = Condition(image=x[..., 1:])
    last = params["Conv_1"]
    grey = params | {"Conv_1": {"kernel": last["kernel"][..., :1], "bias": last["bias"][:1]}}
    uncentered = NCSNpp(dataclasses.replace(SPEC, centered=False))
    output = apply(uncentered, grey, x[..., :1], time, image)
    expected = apply(NETWORK, grey, 2 * x[..., :1] - 1, time, image)
    assert relative_difference(output, expected) < 1e-6


def test_the_first_layer_sees_waves_of_the_input(inputs):
    """As if an image of them were its condition; two periods from -1 to 1 for the power 0."""
    x, time = inputs
    waving = NCSNpp(dataclasses.replace(SMALLEST.spec, input_frequencies=(0, 3)))
    turns = 2 * np.pi * np.concatenate([x, x, 8 * x, 8 * x], axis=-1)
    waves = np.where(np.arange(8) % 4 < 2, np.sin(turns), np.cos(turns))
    params = random_parameters(waving, *inputs)
    expected = apply(SMALLEST, params, x, time, Condition(image=waves.astype(np.float32)))
    assert relative_difference(apply(waving, params, x, time), expected) < 1e-4


def test_noise_levels_descend_geometrically():
    spec = NCSNppSpec(sigma_min=0.1, sigma_max=1000.0, num_scales=5)
    levels = spec.noise_level(jnp.array([0.0, 1.9, 4.0, 5.0]))
    np.testing.assert_allclose(levels, [1000, 100, 0.1, np.nan], rtol=1e-6)


@pytest.mark.slow("tests/nets/test_blocks.py::test_residual_block_drops_only_when_told")
def test_dropout_acts_only_when_not_deterministic(initial, inputs):
    params = jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(0.1), initial)

    def output(seed, deterministic):
        rngs = {"dropout": jax.random.key(seed)}
        return apply(SMALLEST, params, *inputs, rngs=rngs, deterministic=deterministic)

    np.testing.assert_array_equal(output(1, True), output(2, True))
    np.testing.assert_array_equal(output(1, False), output(1, False))
    assert relative_difference(output(1, False), output(2, False)) > 1e-2
    assert relative_difference(output(1, False), output(1, True)) > 1e-2


@pytest.mark.slow("tests/nets/test_mlp.py::test_mlp_in_bfloat16_is_close_and_returns_float32")
@pytest.mark.parametrize("spec", [SPEC, FILTERED])
def test_bfloat16_is_close_and_returns_float32(spec, inputs):
    params = random_parameters(NCSNpp(spec), *inputs)
    output = apply(NCSNpp(spec, dtype=jnp.bfloat16), params, *inputs)
    assert output.dtype == jnp.float32
    assert 1e-4 < relative_difference(output, apply(NCSNpp(spec), params, *inputs)) < 0.1


@pytest.mark.parametrize(
    "network, shape, filters",
    [
        (NCSNpp(SPEC, precision="highest"), (2, 8, 8, 2), 0),
        # Of the features and the shortcut, halved and doubled, and of the two pyramids.
        (NCSNpp(FILTERED, precision="highest"), (2, 8, 8, 2), 6),
        pytest.param(
            DDPM(DDPMSpec(channels=32), precision="highest"),
            (2, 8, 8, 2),
            0,
            marks=pytest.mark.slow,
        ),
        (MLP(MLPSpec(), precision="highest"), (2, 2), 0),
    ],
)
def test_precision_reaches_every_product(network, shape, filters, key):
    x, time = jnp.zeros(shape), jnp.zeros(2)
    params = jax.eval_shape(network.init, key, x, time)
    program = jax.make_jaxpr(network.apply)(params, x, time)
    products = ("dot_general", "conv_general_dilated")
    found = [equation for equation in program.eqns if equation.primitive.name in products]
    kernels = sum(path[-1].key == "kernel" for path, _ in jax.tree.leaves_with_path(params))
    attentions = sum("Attention" in name for name in params["params"])
    assert len(found) == kernels + 2 * attentions + filters
    highest = jax.lax.Precision.HIGHEST
    assert all(equation.params["precision"] == (highest, highest) for equation in found)


def test_specs_and_networks_are_values():
    same = NCSNppSpec(
        channels=8,
        multipliers=(1,),
        blocks_per_level=1,
        attention_resolutions=(8,),
        dropout=0.3,
        classes=3,
    )
    assert hash(NCSNpp(same)) == hash(NETWORK)
    assert NCSNpp(same) == NETWORK


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("channels", 3, "`channels` must be at least 4: got channels=3"),
        ("multipliers", (), "`multipliers` must be a positive integer per level"),
        ("multipliers", (1, 0), r"got multipliers=\(1, 0\)"),
        ("blocks_per_level", 0, "`blocks_per_level` must be at least 1: got blocks_per_level=0"),
        ("dropout", 1.0, r"`dropout` must be in \[0, 1\): got dropout=1.0"),
        (
            "embedding",
            "learned",
            "`embedding` must be one of positional, fourier: got embedding='learned'",
        ),
        ("fourier_scale", 0.0, "`fourier_scale` must be positive: got fourier_scale=0.0"),
        ("classes", 0, "`classes` must be at least 1: got classes=0"),
        (
            "activation",
            "gelu",
            "`activation` must be one of swish, elu, relu, lrelu: got activation='gelu'",
        ),
        ("sigma_min", 60.0, "`sigma_min` must be positive and below `sigma_max`: got sigma_min=60"),
        ("num_scales", 1, "`num_scales` must be at least 2: got num_scales=1"),
        ("block", "resnet", "`block` must be one of biggan, ddpm: got block='resnet'"),
        (
            "progressive_input",
            "output_skip",
            "`progressive_input` must be one of none, input_skip, residual: got prog",
        ),
        (
            "progressive_output",
            "input_skip",
            "`progressive_output` must be one of none, output_skip, residual: got prog",
        ),
        ("combine", "product", "`combine` must be one of sum, cat: got combine='product'"),
        ("init_scale", -1.0, "`init_scale` must be at least 0: got init_scale=-1.0"),
        (
            "resampling_filter",
            (),
            r"`resampling_filter` must be None or have a sum.*: got resampling_filter=\(\)",
        ),
        ("resampling_filter", (1, -1), r"have a sum.*: got .*\(1, -1\)"),
    ],
)
def test_spec_errors(field, value, message):
    with pytest.raises(ValueError, match=message):
        NCSNppSpec(**{field: value})


def test_spec_errors_of_two_fields():
    with pytest.raises(ValueError, match="`classes` must be None if `conditional` is False"):
        NCSNppSpec(conditional=False, classes=10)
    with pytest.raises(
        ValueError, match="`channels` must be a multiple of 32, .*: got channels=48"
    ):
        DDPMSpec(channels=48)
    with pytest.raises(
        ValueError, match="`attending_up` must be one of last, every: got attending_up='first'"
    ):
        DDPMSpec(attending_up="first")
    with pytest.raises(ValueError, match="`head_channels` must be at least 1: got head_channels=0"):
        DDPMSpec(head_channels=0)
    for field in ("max_period", "norm_epsilon"):
        with pytest.raises(ValueError, match=f"`{field}` must be positive: got {field}=0"):
            DDPMSpec(**{field: 0.0})


@pytest.mark.parametrize(
    "shape, message",
    [
        ((1, 4, 3, 3), r"longest axis must exceed 4, .* got examples of shape \(4, 3, 3\)"),
        ((1, 64, 2), r"must be \[height, width, channels\]: got shape \(64, 2\). Set `axes` to 1"),
        ((1, 8, 8, 8, 1), r"got shape \(8, 8, 8, 1\). Set `axes` to 3"),
        ((1, 64), r"got shape \(64,\). Reshape them"),
    ],
)
def test_image_shape_errors(shape, message, key):
    with pytest.raises(ValueError, match=message):
        NCSNpp(NCSNppSpec(channels=8)).init(key, jnp.zeros(shape), jnp.zeros(1))


def test_condition_errors(inputs, key):
    with pytest.raises(ValueError, match=r"conditioning image must have .* \(3, 4, 4, 1\)"):
        NETWORK.init(key, *inputs, Condition(image=jnp.zeros((3, 4, 4, 1))))
    with pytest.raises(ValueError, match="set `classes`"):
        NCSNpp(NCSNppSpec(channels=8)).init(key, *inputs, Condition(label=jnp.zeros(3, int)))
