"""Placement of batches on the devices of one process or of many."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from sde_jax.arrays import Array, PyTree


def partial_sharding(sharding: NamedSharding | None, batch_size: int) -> NamedSharding | None:
    """Returns ``sharding`` if its devices divide the batch, else the batch's replication."""
    if sharding is None or batch_size % sharding.num_devices == 0:
        return sharding
    return NamedSharding(sharding.mesh, PartitionSpec())


def put(array: np.ndarray, sharding: NamedSharding | None) -> Array:
    """Puts ``array``, which every process holds whole, on the device or spreads it."""
    if sharding is None:
        return jnp.asarray(array)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def local_places(sharding: NamedSharding | None, count: int) -> np.ndarray:
    """Returns the places in a batch of ``count`` that the devices of this process hold."""
    places = np.arange(count)
    if sharding is None:
        return places
    parts = sharding.addressable_devices_indices_map((count,)).values()
    return np.unique(np.concatenate([places[part] for part in parts]))


def put_local(rows: np.ndarray, count: int, sharding: NamedSharding | None) -> Array:
    """Puts a batch of ``count`` on the devices; ``rows`` are those of this process's places."""
    if sharding is None:
        return jnp.asarray(rows)
    places = local_places(sharding, count)

    def part(index: tuple[slice, ...] | None) -> np.ndarray:
        first = () if index is None else index[:1]
        return rows[np.searchsorted(places, np.arange(count)[first])]

    return jax.make_array_from_callback((count, *rows.shape[1:]), sharding, part)


def map_examples(
    function: Callable[[PyTree, PyTree], PyTree],
    shared: PyTree,
    examples: PyTree,
    sharding: NamedSharding | None,
) -> PyTree:
    """Computes ``function(shared, example)`` for each example, on the device that holds it."""
    mapped = jax.vmap(function, in_axes=(None, 0))
    if sharding is not None:
        mapped = jax.shard_map(
            mapped,
            mesh=sharding.mesh,
            in_specs=(PartitionSpec(), sharding.spec),
            out_specs=sharding.spec,
        )
    return mapped(shared, examples)
