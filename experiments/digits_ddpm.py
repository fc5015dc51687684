"""Handwritten digits (8x8), DDPM: a chain of 1000 discrete noise levels.

sde-jax train digits_ddpm

`mnist_ddpm` in small. 8 halves three times: the U-Net has two levels. Two CPU cores, about two
minutes; the held-out loss is .09.
"""

import dataclasses

from experiments.digits_vp import experiment as digits_vp
from experiments.mnist_ddpm import experiment as mnist_ddpm
from sde_jax.nets import PooledUNetSpec
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

experiment = dataclasses.replace(
    mnist_ddpm,
    data=digits_vp.data,
    network=PooledUNetSpec(widths=(32, 64)),
    optimizer=Adam(learning_rate=2e-3, warmup_steps=100, decay="cosine"),
    ema_decay=0.995,
    training=Training(steps=1500, batch_size=128, eval_every=500),
    likelihood=digits_vp.likelihood,
    evaluation=digits_vp.evaluation,
)
