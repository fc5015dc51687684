"""Your own pictures (64x64), VP.

sde-jax train folder --data.path PICTURES

A folder or a zip of PNG, JPEG or WebP files, a tenth of which is held out; `data show PICTURES`
says what is in it. Meant for a GPU: two CPU cores take seconds for each of the 40,000 steps.
"""

import dataclasses

from experiments.cifar10_vp import experiment as cifar10_vp
from sde_jax.data import Folder
from sde_jax.training.settings import Training

experiment = dataclasses.replace(
    cifar10_vp,
    data=Folder(image_size=64, flip=True),
    training=Training(
        steps=40_000, batch_size=32, eval_every=5000, sample_every=1000, checkpoint_every=5000
    ),
)
