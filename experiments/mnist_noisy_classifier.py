"""MNIST (28x28 padded to 32x32), VP: its classifier at every noise level, which guides samplers.

sde-jax train mnist_noisy_classifier

As `digits_noisy_classifier`. Narrow enough for a CPU: .006 GFLOP for an image, its gradient thrice.
Not run to its end yet.
"""

import dataclasses

from experiments.digits_noisy_classifier import experiment as digits
from experiments.mnist_vp import experiment as mnist_vp
from sde_jax.nets import ClassifierSpec
from sde_jax.training.settings import Training

experiment = dataclasses.replace(
    digits,
    data=mnist_vp.data,
    sde=mnist_vp.sde,
    network=ClassifierSpec(channels=16, multipliers=(1, 2, 4)),
    training=Training(steps=1500, batch_size=128, eval_every=500, log_every=50),
)
