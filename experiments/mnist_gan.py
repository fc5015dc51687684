"""MNIST (28x28 padded to 32x32), a generative adversarial network (DCGAN).

sde-jax train mnist_gan

A hundred epochs, as published, of networks four times as wide as those of `mnist_gan_narrow`. What
to look at is in `digits_gan`. Not run to its end yet: needs a GPU.
"""

import dataclasses

from experiments.digits_gan import experiment as digits_gan
from experiments.mnist_vp import experiment as mnist_vp
from sde_jax.baselines.dcgan import DCGANSpec
from sde_jax.recipes.evaluation_settings import MEASURABLE

experiment = dataclasses.replace(
    digits_gan,
    data=mnist_vp.data,
    network=DCGANSpec(channels=64, multipliers=(1, 2, 4)),
    latent_dimension=64,
    ema_decay=0.999,
    training=dataclasses.replace(mnist_vp.training, steps=46_900),
    evaluation=dataclasses.replace(mnist_vp.evaluation, metrics=MEASURABLE),
)
