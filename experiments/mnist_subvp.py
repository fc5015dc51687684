"""MNIST (28x28 padded to 32x32), sub-VP.

sde-jax train mnist_subvp

Meant for a GPU: two CPU cores take seconds for each of the 50,000 steps. Not run to its end yet.
"""

import dataclasses

from experiments.mnist_vp import experiment as mnist_vp
from sde_jax.sde import SubVP

experiment = dataclasses.replace(mnist_vp, sde=SubVP())
