import logging

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.initialization import initialize
from sde_jax.nets.condition import Condition
from sde_jax.nets.mlp import MLPSpec
from sde_jax.nets.ncsnpp import NCSNppSpec

SPEC = NCSNppSpec(
    channels=8,
    multipliers=(1,),
    blocks_per_level=1,
    attention_resolutions=(8,),
    embedding="fourier",
    classes=3,
)
TIME = np.ones(1, np.float32)


@pytest.mark.parametrize("condition", [None, Condition(label=jnp.zeros(1, int))])
@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (MLPSpec(width=8, depth=1, classes=3), (1, 2)),
        pytest.param(SPEC, (1, 8, 8, 1), marks=pytest.mark.slow),
    ],
    ids=["mlp", "unet"],
)
def test_parameters_are_those_of_the_module_itself(key, spec, shape, condition):
    network, x = spec.build(), jax.ShapeDtypeStruct(shape, jnp.float32)
    expected = network.init(key, jnp.zeros(shape), TIME, condition, deterministic=True)
    found = initialize(network, key, x, TIME, condition, deterministic=True)
    jax.tree.map(np.testing.assert_array_equal, found, expected["params"])


def test_it_can_be_traced(key):
    network, x = MLPSpec(width=8, depth=1).build(), jax.ShapeDtypeStruct((1, 2), jnp.float32)
    shapes = jax.eval_shape(lambda key: initialize(network, key, x, TIME), key)
    found = initialize(network, key, x, TIME)
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, shapes)


def test_the_network_is_not_run(key):
    class Inverting(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(jnp.linalg.inv(x))

    class Compiled(logging.Handler):
        def emit(self, record):
            names.append(record.getMessage())

    names = []
    handler = Compiled()
    logging.getLogger("jax").addHandler(handler)
    try:
        with jax.log_compiles():
            initialize(Inverting(), key, jax.ShapeDtypeStruct((3, 3), jnp.float32))
    finally:
        logging.getLogger("jax").removeHandler(handler)
    compiled = [name for name in names if name.startswith("Finished XLA")]
    assert compiled and not any("inv" in name or "dot_general" in name for name in compiled)
