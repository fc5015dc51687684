"""Random seeds of the examples of a batch.

The random numbers of an example depend on its own seed only. They are therefore the same in every
slice of the batch and on every device that holds the example.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Examples, Keys, PerExample, PRNGKeyArray


class Seeds(NamedTuple):
    """The seeds of the examples of a batch; see `example_seeds`."""

    keys: Keys
    """One key for each example, independent of the batch size."""

    quantiles: PerExample
    """Stratified uniform numbers in [0, 1), with one equal stratum for each example. Samplers that
    stratify over the batch, such as `StratifiedTimes`, use them."""

    def split(self, count: int = 2) -> tuple["Seeds", ...]:
        """Splits each key into ``count`` new keys; the quantiles stay the same."""
        keys = jax.vmap(lambda key: jax.random.split(key, count), out_axes=1)(self.keys)
        return tuple(self._replace(keys=each) for each in keys)

    def dropout_key(self, *, deterministic: bool) -> PRNGKeyArray | None:
        """Returns the key of the first example, or None if ``deterministic``.

        A network draws the dropout of its whole batch from one key. With dropout, the losses of a
        slice therefore differ from those in the whole batch.
        """
        return None if deterministic else self.keys[0]


def example_seeds(key: PRNGKeyArray, count: int) -> Seeds:
    """Returns the seeds of ``count`` examples; that of example j comes from ``fold_in(key, j)``."""
    index = jnp.arange(count)
    keys, offset_keys = jax.vmap(jax.random.split, out_axes=1)(
        jax.vmap(jax.random.fold_in, (None, 0))(key, index)
    )
    return Seeds(keys, (index + jax.vmap(jax.random.uniform)(offset_keys)) / count)


def each_key(keys: Any, count: int | None = None) -> Keys:
    """Returns keys, one for each of ``count`` examples (None: any number); raw ones become typed.

    Raises:
      ValueError: for anything else, such as a single key.
    """
    kind = getattr(keys, "dtype", None)
    typed = kind is not None and jnp.issubdtype(kind, jax.dtypes.prng_key)
    if not typed and kind == jnp.uint32 and keys.ndim:
        keys = jax.random.wrap_key_data(keys)
        typed = True
    shape = list(keys.shape) if typed else None
    if shape is None or len(shape) != 1 or count not in (None, *shape):
        got = "one key" if shape == [] else f"keys of shape {shape}"
        raise ValueError(
            f"`keys` must be one key for each example, of shape [{count or 'count'}]: got "
            f"{type(keys).__name__ if shape is None else got}. Split one: "
            f"`jax.random.split(key, {count or 'count'})`."
        )
    return keys


def split_keys(keys: Keys) -> tuple[Keys, Keys]:
    """Splits the key of each example in two.

    Raises:
      ValueError: as `each_key`.
    """
    first, second = jax.vmap(jax.random.split, out_axes=1)(each_key(keys))
    return first, second


def unit_noise(keys: Keys, shape: tuple[int, ...], dtype: DTypeLike = float) -> Examples:
    """Draws standard Gaussian noise of ``shape`` from each key.

    Raises:
      ValueError: as `each_key`.
    """
    return jax.vmap(lambda key: jax.random.normal(key, shape, dtype))(each_key(keys))


def step_noise(
    keys: Keys, count: Array, shape: tuple[int, ...], dtype: DTypeLike = float
) -> Examples:
    """Draws standard Gaussian noise of the ``count``-th step from each key."""
    return unit_noise(jax.vmap(lambda key: jax.random.fold_in(key, count))(keys), shape, dtype)
