"""The lower half of MNIST digits (28x28 padded to 32x32), given the upper one, VP, narrow.

sde-jax train mnist_conditional_narrow

Narrow enough for a quarter of an hour of two CPU cores, 27 minutes beside other work; the
regression is off by .114, a draw, after so few steps, by .240. What to look at is in
`digits_conditional`.
"""

import dataclasses

from experiments.digits_conditional import experiment as digits_conditional
from experiments.mnist_conditional import experiment as mnist_conditional
from experiments.mnist_vp_narrow import experiment as mnist_vp_narrow
from sde_jax.recipes.evaluation_settings import MEASURABLE
from sde_jax.training.settings import Training

experiment = dataclasses.replace(
    digits_conditional,
    data=mnist_vp_narrow.data,
    network=mnist_conditional.network,
    training=Training(steps=500, batch_size=64, eval_every=250),
    evaluation=dataclasses.replace(mnist_vp_narrow.evaluation, metrics=MEASURABLE),
)
