"""The lower half of MNIST digits (28x28 padded to 32x32), given the upper one, VP.

sde-jax train mnist_conditional

A hundred epochs, as published, where `mnist_conditional_narrow` has half of one. What to look at is
in `digits_conditional`. Not run to its end yet: needs a GPU.
"""

import dataclasses

from experiments.digits_conditional import experiment as digits_conditional
from experiments.mnist_vp import experiment as mnist_vp
from experiments.mnist_vp_narrow import network
from sde_jax.recipes.evaluation_settings import MEASURABLE

experiment = dataclasses.replace(
    digits_conditional,
    data=mnist_vp.data,
    network=dataclasses.replace(network, dropout=0.1),
    optimizer=mnist_vp.optimizer,
    ema_decay=mnist_vp.ema_decay,
    training=dataclasses.replace(mnist_vp.training, steps=46_900),
    evaluation=dataclasses.replace(mnist_vp.evaluation, metrics=MEASURABLE),
)
