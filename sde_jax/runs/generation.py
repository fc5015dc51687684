"""Draws any number of samples in batches, on any number of devices."""

from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from sde_jax.arrays import Array, Int, Key, PRNGKeyArray, PyTree
from sde_jax.memory import check_fits, size_of
from sde_jax.recipes.interfaces import Draw
from sde_jax.sampling import Samples
from sde_jax.training.devices import compiled_on_each_device, data_mesh
from sde_jax.training.processes import is_first


def example_keys(key: PRNGKeyArray, first: int, count: int) -> Key[Array, "count"]:
    """Returns the keys of examples ``first``, ``first + 1``, ...; they do not depend on the
    batching."""
    return numbered_keys(key, first + jnp.arange(count))


def numbered_keys(
    key: PRNGKeyArray, numbers: Int[Array, "count"] | np.ndarray
) -> Key[Array, "count"]:
    """Returns the keys of the examples of these numbers."""
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(jnp.asarray(numbers))


def whole_batches(batch_size: int, count: int, mesh: Mesh) -> int:
    """Returns the size of equal batches of at most about ``batch_size``, a multiple of the
    devices."""
    batches = -(-count // batch_size)
    return -(-count // (batches * mesh.size)) * mesh.size


def generate(
    draw: Draw,
    params: PyTree,
    *,
    key: PRNGKeyArray,
    count: int,
    batch_size: int,
    start: int = 0,
) -> Iterator[Samples]:
    """Draws samples ``start`` to ``count - 1`` on all devices, batch by batch, as numpy arrays.

    Sample j is a function of ``fold_in(key, j)``. Trajectories, where the sampler keeps them, are
    those of the first batch alone.
    """
    compiled = compiled_on_each_device(draw)
    batch_size = whole_batches(batch_size, count, data_mesh())
    shown = {"unit": " samples", "desc": "sample", "disable": not is_first()}
    with tqdm(total=count, initial=start, **shown) as progress:
        for first in range(start, count, batch_size):
            index = first + jnp.arange(batch_size)
            batch = compiled(params, example_keys(key, first, batch_size), index)
            if first:
                batch = batch._replace(trajectory=None, trajectory_times=None)
            kept = min(batch_size, count - first)
            yield jax.tree.map(lambda array, kept=kept: array[:kept], jax.device_get(batch))
            progress.update(kept)


def check_memory(draw: Draw, params: PyTree, **size: int) -> None:
    """Raises ValueError if the memory cannot hold so many samples, named as in ``count=64``."""
    index = jax.ShapeDtypeStruct((1,), jnp.int32)
    keys = jax.eval_shape(lambda: example_keys(jax.random.key(0), 0, 1))
    x = jax.eval_shape(draw, params, keys, index).x
    for name, count in size.items():
        check_fits(count * size_of(x), f"`{name}`={count:,} samples")


def draw_all(
    draw: Draw, params: PyTree, *, count: int, batch_size: int, key: PRNGKeyArray | None = None
) -> Samples:
    """Draws samples 0 to ``count - 1``: see `generate`; the usual seed is 0."""
    key = jax.random.key(0) if key is None else key
    check_memory(draw, params, count=count)
    return concatenate(generate(draw, params, key=key, count=count, batch_size=batch_size))


def concatenate(parts: Iterable[Samples]) -> Samples:
    """Concatenates all samples; the trajectories are those of the first part."""
    first, *others = parts
    x, nfe, converged = jax.tree.map(
        lambda *arrays: np.concatenate(arrays), first[:3], *(part[:3] for part in others)
    )
    return first._replace(x=x, nfe=nfe, converged=converged)


def is_valid(samples: Samples) -> np.ndarray:
    """Marks the samples that are finite and whose solver converged."""
    finite = np.isfinite(samples.x).reshape(len(samples.x), -1).all(axis=1)
    return np.asarray(samples.converged) & finite
