"""A ring in the plane, Ornstein-Uhlenbeck, by sliced score matching.

sde-jax train ring_sliced

Can a score be learned without being told the noise? By parts, |s - true score|^2 has the mean of

    |s(x_t, t)|^2 + 2 v . J v,   J = ds / dx,   v = (+-1, +-1) at random,

but for a constant (Song et al. 2019, arXiv:1905.07088, section 3: SSM-VR). That is one product of
the Jacobian with a random direction, whatever the dimension. Network, process and steps are those
of `ring`, whose denoising is told the noise; `ring_matching` has both side by side.
"""

import dataclasses

from experiments.ring import experiment as ring
from sde_jax.recipes.matching import Sliced

experiment = dataclasses.replace(ring, matching=Sliced())
