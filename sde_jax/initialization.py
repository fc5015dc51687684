"""Initialization of the parameters of Flax modules."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters.partial_eval import dce_jaxpr

from sde_jax.arrays import PRNGKeyArray, PyTree

__all__ = ["initialize"]


def initialize(network: nn.Module, key: PRNGKeyArray, *inputs: PyTree, **options: Any) -> PyTree:
    """Returns the parameters that ``network.init`` would, without running the network.

    Operations that the parameters do not depend on are eliminated. The rest runs eagerly, as one
    small program per shape: compiling a single program for all parameters of a large network takes
    minutes.

    Args:
      network: a module whose only variables are parameters.
      key: seeds the initialization.
      *inputs: example inputs; only their shapes and types matter.
      **options: further keyword arguments of the module's call.
    """

    def init(key: PRNGKeyArray) -> PyTree:
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), inputs)
        return network.init(key, *zeros, **options)["params"]

    program, shapes = jax.make_jaxpr(init, return_shape=True)(key)
    used_outputs = [True] * len(program.jaxpr.outvars)
    needed, _ = dce_jaxpr(program.jaxpr, used_outputs, instantiate=True)
    leaves = jaxpr_as_fun(ClosedJaxpr(needed, program.consts))(key)
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)
