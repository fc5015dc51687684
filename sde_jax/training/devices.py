"""The placement of arrays: one mesh over the devices of all processes, with the axis ``data``."""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sde_jax.arrays import PyTree

AXIS = "data"
"""Name of the only axis of the mesh: batches are spread over it."""

PROGRAMS = 8
"""Number of functions of `compiled_on_each_device` that stay compiled."""

SMALL = 2**12
"""Arrays with fewer elements are replicated: sharding them saves nothing and costs a message."""


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Builds the mesh over ``devices`` (default: all devices of all processes)."""
    devices = jax.devices() if devices is None else list(devices)
    return jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays that every device holds whole: parameters, optimizer, keys."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of a batch: the first axis is spread over the devices."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def state_sharding(shape: tuple[int, ...], mesh: Mesh, *, sharded: bool) -> NamedSharding:
    """Returns the sharding of an array of a train state: replicated, or a part on each device.

    ``sharded`` spreads the longest axis that the number of devices divides, the last of equal
    ones. An array without such an axis or with fewer than 4096 elements is replicated.
    """
    axes = [axis for axis, length in enumerate(shape) if length % mesh.size == 0]
    if not sharded or not axes or math.prod(shape) < SMALL:
        return replicated(mesh)
    longest = max(axes, key=lambda axis: (shape[axis], axis))
    return NamedSharding(mesh, PartitionSpec(*[None] * longest, AXIS))


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """Returns ``tree`` on every device of the mesh."""
    return jax.jit(lambda tree: tree, out_shardings=replicated(mesh))(tree)


def pad_batch(batch: PyTree, size: int) -> PyTree:
    """Returns ``batch`` with its last example repeated until there are ``size`` examples.

    Padding the last partial batch of an evaluation avoids a second compilation. The caller drops
    the results of the repeated examples.

    Raises:
      ValueError: if the batch is empty or has more than ``size`` examples.
    """
    count = len(jax.tree.leaves(batch)[0])
    if not 0 < count <= size:
        raise ValueError(f"a batch of {count} examples cannot be padded to `size` = {size}")
    if count == size:
        return batch
    rows = jnp.minimum(jnp.arange(size), count - 1)
    return jax.tree.map(lambda x: jnp.asarray(x)[rows], batch)


def shard_batch(batch: PyTree, mesh: Mesh, size: int) -> PyTree:
    """Returns ``batch`` padded to ``size`` examples by `pad_batch` and spread over the devices.

    Raises:
      ValueError: if ``size`` is not a multiple of the number of devices, or as `pad_batch`.
    """
    if size % mesh.size:
        raise ValueError(f"`size` must be a multiple of the {mesh.size} devices: got {size}")
    pad = jax.jit(pad_batch, static_argnums=1, out_shardings=batch_sharding(mesh))
    return pad(batch, size)


def on_each_device(f: Callable[..., PyTree], mesh: Mesh) -> Callable[..., PyTree]:
    """Returns ``f(shared, *examples)`` run by each device on its own part of ``examples``.

    ``f`` treats examples independently: each array of ``examples`` and of the result has one row
    per example, and the number of rows must be a multiple of the number of devices (`pad_batch`).
    ``shared`` (parameters, a score) is whole on every device. No device waits for another inside
    ``f``, so each ends an adaptive solve when its own examples are done. Compile the result with
    `jax.jit`.
    """
    rows = PartitionSpec(AXIS)

    def parallel(shared: PyTree, *examples: PyTree) -> PyTree:
        if jax.config.values["jax_disable_jit"]:  # jax.shard_map then refuses adaptive solves.
            return f(shared, *examples)
        specs = (PartitionSpec(), *[rows] * len(examples))
        mapped = jax.shard_map(f, mesh=mesh, in_specs=specs, out_specs=rows, check_vma=False)
        return mapped(shared, *examples)

    return parallel


@functools.lru_cache(PROGRAMS)
def compiled_on_each_device(f: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Compiles ``f`` to run `on_each_device` of all; every device gets the whole result.

    The last functions stay compiled, for callers that use one again.
    """
    mesh = data_mesh()
    return jax.jit(on_each_device(f, mesh), out_shardings=replicated(mesh))
