"""CIFAR-10 (32x32), VE up to the largest distance between two images.

sde-jax train cifar10_ve

Meant for a GPU: two CPU cores take seconds for each of the 40,000 steps. Not run to its end yet.
"""

import dataclasses

from experiments.cifar10_vp import experiment as cifar10_vp
from sde_jax.sde import VE

experiment = dataclasses.replace(
    cifar10_vp, sde=VE(sigma_min=0.01, sigma_max=100.0), data_deviation=0.5
)
