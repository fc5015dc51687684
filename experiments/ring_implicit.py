"""A ring in the plane, Ornstein-Uhlenbeck, by implicit score matching.

sde-jax train ring_implicit

How much of the noise of sliced score matching is that of its random directions? By parts,
|s - true score|^2 has the mean of

    |s(x_t, t)|^2 + 2 tr J,   J = ds / dx,

but for a constant (Hyvarinen 2005, theorem 1). The trace costs one product with the Jacobian for
each dimension: two here, a thousand for an image of MNIST. Network, process and steps are those of
`ring`; compare `ring_sliced`, and see `ring_matching`.
"""

import dataclasses

from experiments.ring import experiment as ring
from sde_jax.recipes.matching import Implicit

experiment = dataclasses.replace(ring, matching=Implicit())
