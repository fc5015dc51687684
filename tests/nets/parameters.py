"""Parameters that no initialization is compiled for."""

import jax
import numpy as np


def random_parameters(network, *inputs, mean=0.0, scale=0.15):
    """Normally distributed parameters of a network or layer for these inputs: none is zero."""
    shapes = jax.eval_shape(network.init, jax.random.key(0), *inputs)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(mean, scale, leaf.shape).astype(np.float32), shapes)
