"""Brownian motion with random access to increments."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from sde_jax.arrays import PRNGKeyArray


class BrownianTree(diffrax.VirtualBrownianTree):
    """diffrax's tree over times from 0 to 1, without its check that times lie inside.

    The check is a host callback, which cannot be lowered for TPUs. `diffeqsolve` evaluates no time
    outside.
    """

    def __init__(
        self, shape: tuple[int, ...], key: PRNGKeyArray, tol: float, dtype: DTypeLike = float
    ) -> None:
        typed, area = jax.ShapeDtypeStruct(shape, jnp.result_type(dtype)), diffrax.SpaceTimeLevyArea
        super().__init__(t0=0.0, t1=1.0, tol=tol, shape=typed, key=key, levy_area=area)

    def _evaluate(self, r: Any) -> Any:
        return jax.tree.map(
            lambda key, shape: self._evaluate_leaf(key, r, shape), self.key, self.shape
        )
