"""MNIST (28x28 padded to 32x32), latent diffusion: VP on the latents of an autoencoder.

sde-jax train mnist_latent

A hundred epochs of networks twice as wide as those of `mnist_latent_narrow`. What to look at is in
`digits_latent`. Not run to its end yet: needs a GPU.
"""

import dataclasses

from experiments.digits_latent import experiment as digits_latent
from experiments.mnist_vp import experiment as mnist_vp
from sde_jax.baselines.autoencoder import AutoencoderSpec
from sde_jax.nets import NCSNppSpec

experiment = dataclasses.replace(
    digits_latent,
    data=mnist_vp.data,
    autoencoder=AutoencoderSpec(latent=4, channels=32, multipliers=(1, 2)),
    network=NCSNppSpec(
        channels=64, multipliers=(1, 2), blocks_per_level=2, attention_resolutions=(4,)
    ),
    optimizer=mnist_vp.optimizer,
    ema_decay=mnist_vp.ema_decay,
    training=dataclasses.replace(mnist_vp.training, steps=46_900),
    evaluation=mnist_vp.evaluation,
)
