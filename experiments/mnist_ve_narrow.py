"""MNIST (28x28 padded to 32x32), VE, narrow.

sde-jax train mnist_ve_narrow

The network of `mnist_vp_narrow` in a quarter of its steps: whether few evaluations do as well along
this process is asked in benchmarks/README.md.
"""

import dataclasses

from experiments.mnist_ve import experiment as mnist_ve
from experiments.mnist_vp_narrow import experiment as mnist_vp_narrow

experiment = dataclasses.replace(
    mnist_vp_narrow,
    sde=mnist_ve.sde,
    data_deviation=mnist_ve.data_deviation,
    training=dataclasses.replace(mnist_vp_narrow.training, steps=700),
)
