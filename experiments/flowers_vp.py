"""Flowers of Oxford 102 (64x64) in grey, VP.

sde-jax train flowers_vp

The experiment that this project goes back to: all three splits but a held-out tenth, batches of 32,
a learning rate of 1e-4, 200 epochs; `flowers_colour` is the same in colour, and `flowers_samplers`
draws both by three samplers. The original, which found the probability flow best and colour better
than grey, states neither size nor process: both are a choice made here. Meant for a GPU: two CPU
cores take seconds for each of the 46,000 steps. Not run to its end yet.
"""

import dataclasses

from experiments.cifar10_vp import experiment as cifar10_vp
from sde_jax.data import TfdsImages
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

SPLITS = ("train", "validation", "test")
SAMPLING = SamplerSettings(sampler="em", steps=2000, snr=0.15)

data = TfdsImages(
    name="oxford_flowers102",
    image_size=64,
    fit="crop",
    channels=3,
    grey=True,
    flip=True,
    train_split="+".join(f"{split}[:90%]" for split in SPLITS),
    test_split="+".join(f"{split}[90%:]" for split in SPLITS),
)

experiment = dataclasses.replace(
    cifar10_vp,
    data=data,
    optimizer=Adam(learning_rate=1e-4, warmup_steps=1000),
    training=Training(
        steps=46_000, batch_size=32, eval_every=5000, sample_every=1000, checkpoint_every=5000
    ),
    sampling=SAMPLING,
    evaluation=EvaluationSettings(count=5000, sampling=SAMPLING),
)
