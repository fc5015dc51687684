"""Initial parameters of Flax modules."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters.partial_eval import dce_jaxpr

from sde_jax.arrays import PRNGKeyArray, PyTree

__all__ = ["Network", "initialize"]


class Network(Protocol):
    """The part of `flax.linen.Module` that a network must have."""

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Draws initial variables."""

    def apply(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates the network with given variables."""


def initialize(network: Network, key: PRNGKeyArray, *inputs: PyTree, **options: Any) -> PyTree:
    """The parameters that ``network.init`` draws, without running the network.

    Nothing is computed that they do not depend on. What they do is computed eagerly, by a small
    program for each shape: one program for all of a large network takes minutes to compile.

    Args:
      network: a module whose only variables are parameters.
      key: where parameters come from.
      *inputs: what it is called with, of which shapes and types matter alone.
      **options: what else it is called with.
    """

    def init(key: PRNGKeyArray) -> PyTree:
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), inputs)
        return network.init(key, *zeros, **options)["params"]

    program, shapes = jax.make_jaxpr(init, return_shape=True)(key)
    leaves = jaxpr_as_fun(_without_unused(program))(key)
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def _without_unused(program: ClosedJaxpr) -> ClosedJaxpr:
    """Removes the equations that no output depends on, by a function that jax does not document."""
    everything = [True] * len(program.jaxpr.outvars)
    needed, _ = dce_jaxpr(program.jaxpr, everything, instantiate=True)
    return ClosedJaxpr(needed, program.consts)
