"""MNIST (28x28 padded to 32x32), narrow: a variational autoencoder.

sde-jax train mnist_vae_narrow

Narrow enough for a quarter of an hour of two CPU cores, 26 minutes beside other work; a Fréchet
distance of 81 +- 1.4 in the classifier's features, at most 5.73 +- .03 bits per dimension. What to
look at is in `digits_vae`.
"""

import dataclasses

from experiments.digits_vae import experiment as digits_vae
from experiments.mnist_vp_narrow import experiment as mnist_vp_narrow
from sde_jax.baselines.autoencoder import AutoencoderSpec
from sde_jax.training.settings import Training

experiment = dataclasses.replace(
    digits_vae,
    data=mnist_vp_narrow.data,
    network=AutoencoderSpec(latent=32, channels=16, multipliers=(1, 2, 4), vector=True),
    training=Training(steps=3500, batch_size=128, eval_every=500, keep_best=True),
    evaluation=dataclasses.replace(mnist_vp_narrow.evaluation, sampling=None),
)
