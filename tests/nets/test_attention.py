"""Attention by cuDNN, which no machine of the tests has: its programs for a GPU are read."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.cudnn import fused_attention_stablehlo
from jax.sharding import PartitionSpec

from sde_jax.nets import attention
from sde_jax.training.devices import data_mesh

SHAPE = (8, 16, 2, 8)
CUDNN = "__cudnn$fmhaSoftmax"


def heads(dtype):
    """Query, key and value of lopsided numbers."""
    return [jnp.asarray(np.random.default_rng(i).normal(i, 1.5, SHAPE), dtype) for i in range(3)]


@pytest.fixture
def with_cudnn(monkeypatch):
    """Programs for a GPU are made as on one that has cuDNN."""
    monkeypatch.setattr(attention, "fuses", lambda *size, dtype: dtype == jnp.bfloat16)
    monkeypatch.setattr(fused_attention_stablehlo, "check_cudnn_version", lambda: 91000)


def program(function, *args, platform="cuda"):
    return jax.jit(function).trace(*args).lower(lowering_platforms=(platform,)).as_text()


def gradient(query, key, value):
    """Reverse mode."""
    return jax.grad(lambda *args: jnp.sin(attention.attend(*args)).sum().astype(jnp.float32))(
        query, key, value
    )


def directional(query, key, value):
    """Forward mode."""
    return jax.jvp(attention.attend, (query, key, value), (value, query, key))[1]


@pytest.mark.parametrize(("dtype", "rounding"), [("float32", 1e-6), ("bfloat16", 2**-8)])
def test_the_explicit_form_is_that_of_jax(dtype, rounding):
    """Both forms of `jax.nn.dot_product_attention` take the same arguments."""
    expected = jax.nn.dot_product_attention(*heads(dtype), implementation="xla")
    found = attention.explicit(*heads(dtype))
    assert found.dtype == expected.dtype == dtype
    scale = np.abs(np.float32(expected)).max()
    np.testing.assert_allclose(np.float32(found), np.float32(expected), atol=rounding * scale)


def test_a_gpu_evaluates_low_precision_by_cudnn(with_cudnn):
    low = program(attention.attend, *heads("bfloat16"))
    (call,) = [line for line in low.splitlines() if CUDNN in line]
    assert f"@{CUDNN}(%arg0, %arg1, %arg2)" in call
    (scale,) = re.findall(r"fmha_scale\\22: ([\d.]+)", call)
    assert float(scale) == pytest.approx(SHAPE[-1] ** -0.5)
    assert "dot_general" not in low
    for other in (
        program(attention.attend, *heads("float32")),
        program(attention.attend, *heads("bfloat16"), platform="cpu"),
    ):
        assert CUDNN not in other and other.count("dot_general") == 2


@pytest.mark.parametrize("derivative", [gradient, directional])
def test_derivatives_are_those_of_the_explicit_form(with_cudnn, monkeypatch, derivative):
    args = heads("bfloat16")
    assert CUDNN not in program(derivative, *args)
    found = jax.jit(derivative)(*args)
    monkeypatch.setattr(attention, "attend", attention.explicit)
    np.testing.assert_array_equal(found, jax.jit(derivative)(*args))


def test_each_device_and_each_sample_evaluates_by_cudnn(with_cudnn):
    rows = PartitionSpec("data")
    on_each = jax.shard_map(attention.attend, mesh=data_mesh(), in_specs=rows, out_specs=rows)
    assert program(on_each, *heads("bfloat16")).count(CUDNN) == 1
    one = jax.vmap(lambda *args: attention.attend(*(x[None] for x in args))[0])
    assert program(one, *heads("bfloat16")).count(CUDNN) == 1
    np.testing.assert_array_equal(
        jax.jit(one)(*heads("bfloat16")), jax.jit(attention.explicit)(*heads("bfloat16"))
    )


@pytest.fixture
def fresh(monkeypatch):
    """`fuses` without its cache, on a machine whose devices call themselves GPUs."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    return functools.partial(attention.fuses.__wrapped__, *SHAPE[1:])


def test_cudnn_is_tried_before_it_is_used(fresh, monkeypatch):
    # Here it is missing.
    assert not fresh(dtype=jnp.bfloat16)
    monkeypatch.setattr(attention, "fused", attention.explicit)
    assert fresh(dtype=jnp.bfloat16)
    assert not fresh(dtype=jnp.float32)


def test_it_is_tried_while_another_program_is_traced(fresh, monkeypatch):
    monkeypatch.setattr(attention, "fused", attention.explicit)
    found = []

    def asking(x):
        found.append(fresh(dtype=jnp.bfloat16))
        return x

    rows = PartitionSpec("data")
    on_each = jax.shard_map(jax.vmap(asking), mesh=data_mesh(), in_specs=rows, out_specs=rows)
    jax.eval_shape(jax.jit(on_each), jnp.zeros(8))
    assert found == [True]
