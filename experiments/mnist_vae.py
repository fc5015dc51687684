"""MNIST (28x28 padded to 32x32), a variational autoencoder.

sde-jax train mnist_vae

A hundred epochs, as published, where `mnist_vae_narrow` has seven of half as wide a network. What
to look at is in `digits_vae`. Not run to its end yet: needs a GPU.
"""

import dataclasses

from experiments.digits_vae import experiment as digits_vae
from experiments.mnist_vp import experiment as mnist_vp
from sde_jax.baselines.autoencoder import AutoencoderSpec
from sde_jax.training.optimizer import Adam

experiment = dataclasses.replace(
    digits_vae,
    data=mnist_vp.data,
    network=AutoencoderSpec(latent=32, channels=32, multipliers=(1, 2, 4), vector=True),
    optimizer=Adam(learning_rate=1e-3, warmup_steps=1000, decay="cosine", clip_norm=None),
    ema_decay=0.999,
    training=dataclasses.replace(mnist_vp.training, steps=46_900, keep_best=True),
    evaluation=mnist_vp.evaluation,
)
