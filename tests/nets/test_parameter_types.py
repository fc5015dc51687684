"""The types of parameters, which do not depend on JAX's flags."""

import functools

import jax
import jax.numpy as jnp
import pytest

from sde_jax.baselines.coupling_flow import CouplingFlowSpec
from sde_jax.metrics.inception import Inception
from sde_jax.nets import ClassifierSpec, Condition, NCSNppSpec, PooledUNetSpec

NETWORKS = {
    "ncsnpp": NCSNppSpec(
        channels=8, multipliers=(1,), attention_resolutions=(8,), embedding="fourier", classes=3
    ),
    "pooled": PooledUNetSpec(widths=(16, 24)),
    "classifier": ClassifierSpec(channels=4, multipliers=(1,), features=6),
}


def types_of(init, *inputs):
    with jax.enable_x64(True):
        shapes = jax.eval_shape(init, jax.random.key(0), *inputs)
    return {str(leaf.dtype) for leaf in jax.tree.leaves(shapes)}


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_float32(name):
    network = NETWORKS[name].build()
    x, time = jnp.zeros((1, 8, 8, 1)), jnp.ones(1)
    condition = Condition(label=jnp.zeros(1, jnp.int32)) if name == "ncsnpp" else None
    inputs = (x,) if name == "classifier" else (x, time, condition)
    assert types_of(network.init, *inputs) == {"float32"}


def test_those_of_a_coupling_flow_are_float32():
    flow = CouplingFlowSpec(width=4, depth=1, couplings=2, scales=1).build()
    init = functools.partial(flow.init, method="forward")
    assert types_of(init, jnp.zeros((1, 4, 4, 1))) == {"float32"}


@pytest.mark.slow("test_parameters_are_float32")
def test_those_of_inception_are_float32():
    assert types_of(Inception().init, jnp.zeros((1, 299, 299, 3))) == {"float32"}
