"""Brownian motion with random access to increments."""

from typing import Any

import diffrax
import jax

from sde_jax.arrays import Array, PRNGKeyArray


class BrownianTree(diffrax.VirtualBrownianTree):
    """diffrax's tree over times from 0 to 1, without its check that times lie inside.

    The check is a host callback, which cannot be lowered for TPUs. `diffeqsolve` evaluates no time
    outside.
    """

    def __init__(self, like: Array, key: PRNGKeyArray, tol: float) -> None:
        shape, area = jax.ShapeDtypeStruct(like.shape, like.dtype), diffrax.SpaceTimeLevyArea
        super().__init__(t0=0.0, t1=1.0, tol=tol, shape=shape, key=key, levy_area=area)

    def _evaluate(self, r: Any) -> Any:
        return jax.tree.map(
            lambda key, shape: self._evaluate_leaf(key, r, shape), self.key, self.shape
        )
