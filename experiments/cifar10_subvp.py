"""CIFAR-10 (32x32), sub-VP.

sde-jax train cifar10_subvp

Meant for a GPU: two CPU cores take seconds for each of the 40,000 steps. Not run to its end yet.
"""

import dataclasses

from experiments.cifar10_vp import experiment as cifar10_vp
from sde_jax.sde import SubVP

experiment = dataclasses.replace(cifar10_vp, sde=SubVP())
