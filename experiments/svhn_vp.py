"""House numbers of SVHN (32x32), VP.

sde-jax train svhn_vp

Meant for a GPU: two CPU cores take seconds for each of the 40,000 steps. Not run to its end yet.
"""

import dataclasses

from experiments.cifar10_vp import experiment as cifar10_vp
from sde_jax.data import TfdsImages

experiment = dataclasses.replace(
    cifar10_vp, data=TfdsImages(name="svhn_cropped", image_size=32, channels=3)
)
