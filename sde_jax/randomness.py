"""Random seeds of the examples of a batch.

The random numbers of an example depend on its own seed only. They are therefore the same in every
slice of the batch and on every device that holds the example.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Examples, Keys, PerExample, PRNGKeyArray
from sde_jax.sde.base import LinearSDE


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


def one_key(key: Any) -> PRNGKeyArray:
    """Returns a single key; a raw one becomes typed.

    Raises:
      ValueError: for anything else, such as a batch of keys.
    """
    typed, got = _typed(key)
    if typed is None or typed.ndim:
        raise ValueError(f"`key` must be one key, such as `jax.random.key(0)`: got {got}.")
    return typed


def each_key(keys: Any, count: int | None = None) -> Keys:
    """Returns keys, one for each of ``count`` examples (None: any number); raw ones become typed.

    Raises:
      ValueError: for anything else, such as a single key.
    """
    typed, got = _typed(keys)
    if typed is None or typed.ndim != 1 or count not in (None, len(typed)):
        raise ValueError(
            f"`keys` must be one key for each example, of shape [{count or 'count'}]: got {got}. "
            f"Split one: `jax.random.split(key, {count or 'count'})`."
        )
    return typed


def _typed(keys: Any) -> tuple[Any, str]:
    """Returns typed keys, or None for what are no keys, and a description."""
    kind = getattr(keys, "dtype", None)
    if kind is None:
        return None, f"a {type(keys).__name__}"
    if kind == jnp.uint32 and keys.ndim:
        keys = jax.random.wrap_key_data(keys)
    elif not jnp.issubdtype(kind, jax.dtypes.prng_key):
        return None, f"{kind} {list(keys.shape)}"
    return keys, f"keys of shape {list(keys.shape)}" if keys.ndim else "one key"


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


def draw_prior(
    keys: Keys, sde: LinearSDE, shape: tuple[int, ...], dtype: DTypeLike = float
) -> Examples:
    """Draws states at t = 1: Gaussian, of deviation ``sde.prior_scale``, each from its own key."""
    return sde.prior_scale * unit_noise(keys, shape, dtype)


def step_noise(
    keys: Keys, count: Array, shape: tuple[int, ...], dtype: DTypeLike = float
) -> Examples:
    """Draws standard Gaussian noise of the ``count``-th step from each key."""
    return unit_noise(jax.vmap(lambda key: jax.random.fold_in(key, count))(keys), shape, dtype)
