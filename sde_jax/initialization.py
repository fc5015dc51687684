"""Initialization and calls of Flax modules."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters.partial_eval import dce_jaxpr

from sde_jax.arrays import PRNGKeyArray, PyTree


class Network(Protocol):
    """The part of `flax.linen.Module` that a network must have."""

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Draws initial variables."""

    def apply(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates the network with given variables."""


def initialize(network: Network, key: PRNGKeyArray, *inputs: PyTree, **options: Any) -> PyTree:
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
    leaves = jaxpr_as_fun(_without_unused(program))(key)
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def apply(
    network: Network, params: PyTree, *inputs: PyTree, dropout_key: PRNGKeyArray | None = None
) -> Any:
    """Calls a network; ``dropout_key`` enables dropout."""
    rngs = None if dropout_key is None else {"dropout": dropout_key}
    return network.apply({"params": params}, *inputs, deterministic=rngs is None, rngs=rngs)


def _without_unused(program: ClosedJaxpr) -> ClosedJaxpr:
    """Removes the equations that no output depends on, by a function that jax does not document."""
    everything = [True] * len(program.jaxpr.outvars)
    needed, _ = dce_jaxpr(program.jaxpr, everything, instantiate=True)
    return ClosedJaxpr(needed, program.consts)
