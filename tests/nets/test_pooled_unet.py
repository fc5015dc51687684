"""The pooled U-Net against numpy in float64, written from its description."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parameters import random_parameters

from sde_jax.initialization import initialize
from sde_jax.nets.condition import Condition
from sde_jax.nets.embedding import interleaved_embedding
from sde_jax.nets.pooled_unet import PooledUNet, PooledUNetSpec

SPEC = PooledUNetSpec(widths=(16, 24))
NETWORK = PooledUNet(SPEC, precision="highest")
NARROW = PooledUNet(PooledUNetSpec(widths=(16,)), precision="highest")
SHAPE = (3, 8, 8, 2)
BLOCKS = 2 * len(SPEC.widths) + 1


def table(count, width):
    """Rows of sines and cosines, one after the other."""
    rows = np.zeros((count, width))
    for t in range(count):
        for i in range(width // 2):
            angle = t / 10_000 ** (2 * i / width)
            rows[t, 2 * i], rows[t, 2 * i + 1] = np.sin(angle), np.cos(angle)
    return rows


def swish(x):
    return x / (1 + np.exp(-x))


def convolve(x, layer):
    """Every output pixel is the sum of products of the 3x3 pixels around it, zeros outside."""
    size, kernel = x.shape[1], layer["kernel"]
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    output = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for i in range(size):
        for j in range(size):
            window = padded[:, i : i + 3, j : j + 3]
            output[:, i, j] = np.einsum("buvc,uvcd->bd", window, kernel)
    return output + layer["bias"]


def transposed_convolve(x, layer):
    """Every input pixel adds its product with the kernel to the 2x2 pixels that it becomes."""
    size, kernel = x.shape[1], layer["kernel"]
    output = np.zeros((len(x), 2 * size, 2 * size, kernel.shape[-1]))
    for i in range(size):
        for j in range(size):
            added = np.einsum("bc,uvcd->buvd", x[:, i, j], kernel)
            output[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] += added
    return output + layer["bias"]


def pool(x):
    corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return functools.reduce(np.maximum, corners)


def block(x, embedded, layer):
    hidden = swish(embedded @ layer["time_0"]["kernel"] + layer["time_0"]["bias"])
    time = hidden @ layer["time_1"]["kernel"] + layer["time_1"]["bias"]
    x = x + time[:, None, None]
    normal = np.zeros_like(x)
    for channels in np.split(np.arange(x.shape[-1]), 8):
        group = x[..., channels]
        mean = group.mean(axis=(1, 2, 3), keepdims=True)
        normal[..., channels] = (group - mean) / np.sqrt(
            group.var(axis=(1, 2, 3), keepdims=True) + 1e-6
        )
    h = normal * layer["GroupNorm_0"]["scale"] + layer["GroupNorm_0"]["bias"]
    return swish(convolve(swish(convolve(h, layer["Conv_0"])), layer["Conv_1"]))


def truth(params, x, time):
    """What the network gives, for levels of 8x8 and 4x4 pixels and a middle of 2x2."""
    embedded = table(1000, 100)[time]
    blocks = [params[f"PooledBlock_{i}"] for i in range(BLOCKS)]
    ups = [params[f"TransposedConvolution_{i}"] for i in range(2)]
    first = block(convolve(x, params["Conv_0"]), embedded, blocks[0])
    second = block(pool(first), embedded, blocks[1])
    middle = block(pool(second), embedded, blocks[2])
    joined = np.concatenate([transposed_convolve(middle, ups[0]), second], axis=3)
    joined = block(joined, embedded, blocks[3])
    joined = np.concatenate([transposed_convolve(joined, ups[1]), first], axis=3)
    return convolve(block(joined, embedded, blocks[4]), params["Conv_1"])


@pytest.fixture(scope="module")
def params():
    """Parameters of which none is zero."""
    return random_parameters(NETWORK, jnp.zeros(SHAPE), jnp.zeros(3), scale=0.2)


@pytest.fixture(scope="module")
def narrow_params():
    return random_parameters(NARROW, jnp.zeros(SHAPE), jnp.zeros(3), scale=0.2)


@pytest.fixture(scope="module")
def inputs():
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    return x, np.array([1.0, 300.0, 999.0], np.float32)


@functools.partial(jax.jit, static_argnums=0)
def apply(network, params, *args):
    return network.apply({"params": params}, *args)


def test_the_published_number_of_parameters():
    """1,435,486, of which a table of 1000 x 100 is no parameter here."""
    network, inputs = PooledUNetSpec().build(), (jnp.zeros((1, 32, 32, 1)), jnp.zeros(1))
    shapes = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count + 1000 * 100 == pytest.approx(1_435_486, rel=0.02)


@pytest.mark.parametrize("width", [4, 100])
def test_the_embedding_is_a_row_of_the_table(width):
    times = jnp.arange(1000.0)
    embedded = jax.jit(interleaved_embedding, static_argnums=1)(times, width)
    np.testing.assert_allclose(embedded, table(1000, width), atol=1e-6)


def test_the_embedding_goes_on_between_rows():
    between = interleaved_embedding(jnp.array([17.25]), 100)[0]
    angles = 17.25 / 10_000 ** (np.arange(0, 100, 2) / 100)
    np.testing.assert_allclose(between[::2], np.sin(angles), atol=1e-6)
    np.testing.assert_allclose(between[1::2], np.cos(angles), atol=1e-6)


@pytest.mark.parametrize("width", [2, 7])
def test_the_embedding_refuses_a_width_that_is_odd_or_narrow(width):
    with pytest.raises(ValueError, match="`width` of an? .* embedding must be"):
        interleaved_embedding(jnp.zeros(1), width)


def test_the_network_is_what_it_is_described_as(params, inputs):
    x, time = (np.asarray(value, np.float64) for value in inputs)
    expected = truth(jax.tree.map(np.float64, params), x, time.astype(int))
    output = apply(NETWORK, params, *inputs)
    assert output.dtype == jnp.float32
    np.testing.assert_allclose(output, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("told", range(BLOCKS))
def test_every_block_is_told_the_time(params, inputs, told):
    """With the time taken from all the others."""
    deaf = dict(params)
    for i in set(range(BLOCKS)) - {told}:
        name = f"PooledBlock_{i}"
        deaf[name] = params[name] | {"time_1": jax.tree.map(np.zeros_like, params[name]["time_1"])}
    x, time = inputs
    change = apply(NETWORK, deaf, x, time + 40) - apply(NETWORK, deaf, x, time)
    assert np.abs(change).max(axis=(1, 2, 3)).min() > 1e-3


@pytest.mark.slow("test_the_network_is_what_it_is_described_as")
def test_every_parameter_has_a_gradient(narrow_params, inputs):
    @jax.jit
    @jax.grad
    def gradient_of(params):
        return (NARROW.apply({"params": params}, *inputs) ** 2).sum()

    gradient = gradient_of(narrow_params)
    for path, leaf in jax.tree.leaves_with_path(gradient):
        assert np.abs(leaf).max() > 1e-5, jax.tree_util.keystr(path)


def test_the_output_starts_near_zero_and_what_is_behind_it_does_not(inputs, key):
    """Else the last layer, the only one with a gradient, would have nothing to choose from."""

    @jax.jit
    def start(key):
        params = {"params": initialize(NARROW, key, *inputs)}
        return NARROW.apply(params, *inputs, capture_intermediates=True)

    output, state = start(key)
    assert np.abs(output).max() < 1e-3
    last = state["intermediates"]["PooledBlock_2"]["__call__"][0]
    assert 0.1 < np.std(last) < 1


def test_examples_are_alone(params, inputs):
    x, time = inputs
    output = apply(NETWORK, params, *inputs)
    for i in range(3):
        others = 0.5 - x[[1, 2, 0]], time[[1, 2, 0]] - 1
        others[0][i], others[1][i] = x[i], time[i]
        changed = np.abs(apply(NETWORK, params, *others) - output).max(axis=(1, 2, 3))
        assert changed[i] < 1e-4
        assert np.delete(changed, i).min() > 0.1


@pytest.mark.slow("tests/nets/test_mlp.py::test_mlp_in_bfloat16_is_close_and_returns_float32")
def test_bfloat16_is_close_and_returns_float32(narrow_params, inputs):
    output = apply(NARROW.clone(dtype=jnp.bfloat16, precision=None), narrow_params, *inputs)
    expected = apply(NARROW, narrow_params, *inputs)
    assert output.dtype == jnp.float32
    assert 0 < np.abs(output - expected).max() < 0.1 * np.abs(expected).max()


def test_images_of_28_pixels_are_padded_and_those_of_8_refused():
    network, images = PooledUNetSpec().build(), jnp.zeros((1, 28, 28, 1))
    output, _ = jax.eval_shape(network.init_with_output, jax.random.key(0), images, jnp.zeros(1))
    assert output.shape == images.shape
    with pytest.raises(ValueError, match="must exceed 8, since the levels of `widths` halve it 4"):
        network.init(jax.random.key(0), images[:, :8, :8], jnp.zeros(1))


def test_other_shapes_are_refused(params):
    with pytest.raises(ValueError, match=r"axes=2 must be \[height, width, channels\]"):
        apply(NETWORK, params, jnp.zeros((1, 8, 8)), jnp.zeros(1))


def test_a_condition_is_refused(params, inputs):
    jax.eval_shape(lambda: apply(NETWORK, params, *inputs, Condition()))
    for condition in (Condition(label=jnp.zeros(3, int)), Condition(image=jnp.zeros(SHAPE))):
        with pytest.raises(ValueError, match="takes no condition: got one"):
            apply(NETWORK, params, *inputs, condition)


@pytest.mark.parametrize("widths", [(), (0,), (8, -8), (16, 20)])
def test_widths_that_no_network_can_have_are_refused(widths):
    with pytest.raises(ValueError, match="`widths` must be one multiple of 8"):
        PooledUNetSpec(widths=widths)
