"""Handwritten digits (8x8), latent diffusion: VP on the latents of an autoencoder.

sde-jax train digits_latent

An autoencoder makes 4x4 latents of digits, a score model learns how these are distributed, and what
it draws is decoded. Both are trained at once, each by its own loss. Its bits per dimension are a
bound, whose prior is the probability flow of the latents: 3.32, in a minute and a half of two CPU
cores.
"""

import dataclasses

from experiments.digits_vp import experiment as digits_vp
from sde_jax.baselines.autoencoder import AutoencoderSpec
from sde_jax.nets import NCSNppSpec
from sde_jax.recipes.latent import LatentScoreModel
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.sde import VP
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

experiment = LatentScoreModel(
    data=digits_vp.data,
    autoencoder=AutoencoderSpec(latent=4, channels=32, multipliers=(1,)),
    sde=VP(),
    network=NCSNppSpec(
        channels=32, multipliers=(1,), blocks_per_level=2, attention_resolutions=(4,)
    ),
    optimizer=Adam(learning_rate=2e-3, warmup_steps=100, decay="cosine", clip_norm=None),
    ema_decay=0.99,
    training=Training(steps=2000, batch_size=128, eval_every=500),
    sampling=SamplerSettings(sampler="unipc", steps=20),
    likelihood=dataclasses.replace(digits_vp.likelihood, method="bosh3"),
    evaluation=digits_vp.evaluation,
)
