"""Tests of the classifier against its definition, written out of its layers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.nets.blocks import GroupNorm, ResidualBlock
from sde_jax.nets.classifier import ClassifierSpec
from sde_jax.nets.embedding import positional_embedding
from sde_jax.nets.resampling import downsample

SPEC = ClassifierSpec(classes=3, channels=4, multipliers=(2, 1), features=5, dropout=0.5)


def swish(x):
    return x / (1 + np.exp(-x))


@pytest.fixture
def images(key):
    return jax.random.uniform(key, (3, 8, 4, 2))


TIMES = np.array([0.0, 3.0, 700.0], np.float32)
TOLD = pytest.mark.parametrize("time", [None, TIMES], ids=["untold", "told"])


def some_params(key, images, time=None):
    """Parameters that are as good as any, of which none is zero or one."""
    shapes = jax.eval_shape(SPEC.build().init, key, images, time)["params"]
    random = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: random.normal(0.1, 0.3, leaf.shape).astype("f"), shapes)


def dense(x, layer):
    return x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


@TOLD
def test_it_is_what_it_says(key, images, time):
    params = some_params(key, images, time)
    embedding = None
    if time is not None:
        embedding = np.asarray(jax.jit(positional_embedding, static_argnums=1)(time, 4))
        for layer in ("time_0", "time_1"):
            embedding = swish(dense(embedding, params[layer]))
        assert embedding.shape == (3, 16)

    @jax.jit
    def both(params, images):
        h = jax.lax.conv_general_dilated(
            2 * images - 1 if time is None else images,
            params["Conv_0"]["kernel"],
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        h += params["Conv_0"]["bias"][None, None, None]
        for level, width in enumerate((8, 4)):
            block = {"params": params[f"ResidualBlock_{level}"]}
            h = ResidualBlock(width, resample=downsample).apply(block, h, embedding)
        normal = GroupNorm().apply({"params": params["GroupNorm_0"]}, h)
        return SPEC.build().apply({"params": params}, images, time), normal

    (features, logits), h = both(params, images)
    assert h.shape == (3, 2, 1, 4)
    h = np.asarray(h)
    hidden = swish(dense(swish(h).reshape(3, 8), params["Dense_0"]))
    np.testing.assert_allclose(features, hidden, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, dense(hidden, params["Dense_1"]), rtol=1e-4, atol=1e-5)


def names_of(params):
    paths, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(path) for path, _ in paths}


def test_the_time_has_parameters_of_its_own_and_changes_no_other(key, images):
    untold, told = (names_of(some_params(key, images, time)) for time in (None, TIMES))
    layers = ("['time_0']", "['time_1']", *(f"['ResidualBlock_{k}']['time']" for k in (0, 1)))
    added = {f"{layer}['{kind}']" for layer in layers for kind in ("kernel", "bias")}
    assert told == untold | added
    assert not untold & added


def test_dropout_needs_a_key_and_leaves_evaluation_alone(key, images):
    params = some_params(key, images)
    without = dataclasses.replace(SPEC, dropout=0.0)
    evaluated, undropped = (
        jax.jit(spec.build().apply)({"params": params}, images).logits for spec in (SPEC, without)
    )
    np.testing.assert_array_equal(evaluated, undropped)

    @jax.jit
    def dropped(key):
        rngs = {"dropout": key}
        return SPEC.build().apply({"params": params}, images, deterministic=False, rngs=rngs).logits

    first, second = (dropped(jax.random.key(seed)) for seed in (1, 2))
    assert np.abs(first - evaluated).min() > 0
    assert np.abs(first - second).min() > 0


def test_bfloat16_comes_out_as_float32(key, images):
    network = dataclasses.replace(SPEC.build(), dtype=jnp.bfloat16)
    made = jax.eval_shape(network.init_with_output, key, images)
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ((2,), r"a classifier takes images: got examples of shape \(2,\)"),
        (
            (8, 6, 1),
            "height and width must be divisible by 4 for the 2 levels of `multipliers`.*8x6",
        ),
        ((6, 8, 1), "6x8"),
    ],
)
def test_what_it_cannot_take(key, shape, complaint):
    with pytest.raises(ValueError, match=complaint):
        SPEC.build().init(key, jnp.zeros((1, *shape)))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"classes": 1}, "`classes` must be at least 2: got classes=1"),
        ({"features": 0}, "`features` must be at least 1: got features=0"),
        ({"channels": 6}, "`channels` must be a multiple of 4.*got channels=6"),
        ({"channels": 0}, "`channels` must be a multiple of 4.*got channels=0"),
        (
            {"multipliers": ()},
            r"`multipliers` must be a positive integer per level.*got multipliers=\(\)",
        ),
        ({"multipliers": (1, 0)}, "`multipliers`"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\): got dropout=1.0"),
    ],
)
def test_fields_out_of_range(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        ClassifierSpec(**fields)
