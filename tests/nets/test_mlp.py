import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parameters import random_parameters

from sde_jax.nets.condition import Condition
from sde_jax.nets.embedding import positional_embedding
from sde_jax.nets.mlp import MLP, MLPSpec

SPEC = MLPSpec(width=16, depth=2, classes=3)


@pytest.fixture(scope="module")
def points():
    x = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)
    return x, np.linspace(0, 999, 6, dtype=np.float32)


@pytest.fixture(scope="module")
def params(points):
    return random_parameters(MLP(SPEC), *points, mean=0.1)


@functools.partial(jax.jit, static_argnums=0)
def apply(network, params, *inputs):
    return network.apply({"params": params}, *inputs)


def test_mlp_starts_at_zero(points, key):
    network = MLP(MLPSpec(width=4, depth=1))
    output, _ = jax.jit(network.init_with_output)(key, *points)
    assert not np.any(output)


def test_mlp_sees_point_time_and_label(points, params):
    network, (x, time) = MLP(SPEC), points
    output = apply(network, params, x, time)
    assert output.shape == x.shape
    assert output.dtype == jnp.float32
    label = Condition(label=jnp.array([0, 1, 2, -1, -1, 0]))
    labelled = apply(network, params, x, time, label)
    changed = np.abs(labelled - output).max(axis=1) > 1e-4
    np.testing.assert_array_equal(changed, [True, True, True, False, False, True])
    for inputs in [(x + 1, time), (x, time + 1)]:
        assert np.abs(apply(network, params, *inputs) - output).max() > 1e-4


def test_mlp_treats_examples_alone(points, params):
    network = MLP(SPEC)
    alone = jax.jit(jax.vmap(lambda x, t: apply(network, params, x[None], t[None])[0]))
    together = apply(network, params, *points)
    np.testing.assert_allclose(alone(*points), together, atol=1e-5)


def test_a_normalized_mlp_against_numpy(points):
    x, time = points
    network = MLP(MLPSpec(width=8, depth=2, normalize=True))
    params = random_parameters(network, x, time, mean=0.1)
    of = {name: jax.tree.map(np.float64, layer) for name, layer in params.items()}

    def dense(name, h):
        return h @ of[name]["kernel"] + of[name]["bias"]

    def swish(h):
        return h / (1 + np.exp(-h))

    def norm(name, h):
        centred = h - h.mean(axis=1, keepdims=True)
        unit = centred / np.sqrt(centred.var(axis=1, keepdims=True) + 1e-6)
        return unit * of[name]["scale"] + of[name]["bias"]

    embedding = swish(dense("Dense_0", np.float64(positional_embedding(time, 8))))
    h = dense("Dense_1", x)
    for layer in range(2):
        first, second, third = (f"Dense_{2 + 3 * layer + place}" for place in range(3))
        hidden = dense(first, norm(f"LayerNorm_{layer}", h)) + dense(second, embedding)
        h = h + dense(third, swish(hidden))
    expected = dense("Dense_8", swish(norm("LayerNorm_2", h)))
    np.testing.assert_allclose(apply(network, params, x, time), expected, rtol=1e-4, atol=1e-5)


def test_mlp_in_bfloat16_is_close_and_returns_float32(points, params):
    output, truth = (
        apply(MLP(SPEC, dtype), params, *points) for dtype in (jnp.bfloat16, jnp.float32)
    )
    assert output.dtype == jnp.float32
    assert 0 < np.abs(output - truth).max() < 0.1 * np.abs(truth).max()


def test_mlp_errors(points, key):
    for field in ("width", "depth", "classes"):
        with pytest.raises(ValueError, match=f"`{field}` must be at least"):
            MLPSpec(**{field: 0})
    with pytest.raises(ValueError, match="takes no conditioning image"):
        MLP(SPEC).init(key, *points, Condition(image=jnp.zeros((6, 8, 8, 1))))
    with pytest.raises(ValueError, match="set `classes`"):
        MLP(MLPSpec()).init(key, *points, Condition(label=jnp.zeros(6, int)))
