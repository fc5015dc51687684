"""The randomness of the examples of a batch: each has its own key.

What an example draws depends on its own seed alone. A slice of a batch, with the same slice of its
seeds, therefore draws what it draws in the whole batch, and so does every device with its share.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float, Key, PRNGKeyArray

__all__ = ["Seeds", "example_seeds", "unit_noise"]


class Seeds(NamedTuple):
    """The seed of each example of a batch; see `example_seeds`."""

    keys: Key[Array, "batch"]
    """The example's own key, which does not depend on the size of the batch."""

    quantiles: Float[Array, "batch"]
    """Uniform numbers in [0, 1), one from each of as many equal strata as the batch has examples.
    What is stratified over a batch, such as `StratifiedTimes`, is drawn from these."""

    def split(self, count: int = 2) -> tuple["Seeds", ...]:
        """Splits each key into ``count`` new ones; all have the same quantiles."""
        keys = jax.vmap(lambda key: jax.random.split(key, count), out_axes=1)(self.keys)
        return tuple(self._replace(keys=each) for each in keys)

    def dropout_key(self, *, deterministic: bool) -> PRNGKeyArray | None:
        """Returns the key of the first example, or None if ``deterministic``.

        A network draws the dropout of all examples that it is given from one key. Dropout therefore
        depends on the batch: with it, the losses of a slice are not those of the whole.
        """
        return None if deterministic else self.keys[0]


def example_seeds(key: PRNGKeyArray, count: int) -> Seeds:
    """Makes the seeds of a batch of ``count`` examples; example j has ``fold_in(key, j)``."""
    index = jnp.arange(count)
    keys, places = jax.vmap(jax.random.split, out_axes=1)(
        jax.vmap(jax.random.fold_in, (None, 0))(key, index)
    )
    return Seeds(keys, (index + jax.vmap(jax.random.uniform)(places)) / count)


def unit_noise(
    keys: Key[Array, "batch"], shape: tuple[int, ...], dtype: DTypeLike = float
) -> Float[Array, "batch *shape"]:
    """Draws Gaussian noise of ``shape`` for each key, from that key alone."""
    return jax.vmap(lambda key: jax.random.normal(key, shape, dtype))(keys)
