"""Flowers of Oxford 102 (32x32) in grey, VP, narrow.

python -m experiments flowers_narrow

`flowers_vp` with the network of `mnist_vp_narrow`, a quarter of an hour of two CPU cores. Nobody
should judge processes or samplers of flowers by it.
"""

import dataclasses

from experiments.flowers_vp import data as flowers
from experiments.flowers_vp import experiment as flowers_vp
from experiments.mnist_vp_narrow import experiment as mnist_vp_narrow
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.sampler_settings import SamplerSettings

data = dataclasses.replace(flowers, image_size=32)

experiment = dataclasses.replace(
    flowers_vp,
    data=data,
    network=mnist_vp_narrow.network,
    optimizer=mnist_vp_narrow.optimizer,
    ema_decay=mnist_vp_narrow.ema_decay,
    training=dataclasses.replace(mnist_vp_narrow.training, eval_examples=512),
    likelihood=mnist_vp_narrow.likelihood,
    evaluation=EvaluationSettings(
        count=256,
        likelihood_count=64,
        metrics=("kernel", "likelihood"),
        features=("coordinates",),
        sampling=SamplerSettings(sampler="sde-dpm++2m", steps=50),
    ),
)
