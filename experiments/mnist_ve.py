"""MNIST (28x28 padded to 32x32), VE.

sde-jax train mnist_ve

Meant for a GPU: two CPU cores take seconds for each of the 50,000 steps. Not run to its end yet.
"""

import dataclasses

from experiments.mnist_vp import experiment as mnist_vp
from sde_jax.sde import VE

experiment = dataclasses.replace(
    mnist_vp, sde=VE(sigma_min=0.01, sigma_max=50.0), data_deviation=1.0
)
