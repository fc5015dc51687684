"""Brownian motion that can be asked for any increment, in any order."""

from typing import Any

import diffrax
import jax

from sde_jax.arrays import Array


class BrownianTree(diffrax.VirtualBrownianTree):
    """diffrax's tree without its check that times lie inside, which is a host callback.

    A host callback could not be lowered for a TPU. `diffeqsolve` asks for no time outside.
    """

    def _evaluate(self, r: Array) -> Any:
        return jax.tree.map(
            lambda key, shape: self._evaluate_leaf(key, r, shape), self.key, self.shape
        )
