"""Handwritten digits (8x8), VP, by sliced score matching.

sde-jax train digits_sliced

The score of noised digits is matched without knowing their noise, by products of the network's
Jacobian with random directions. It has the same minimum as denoising, by gradients that are noisier
and cost a derivative more: compare with `quickstart`, whose network and process these are. Two CPU
cores, about three minutes; 2.24 bits per dimension of held-out digits.
"""

import dataclasses

from experiments.digits_vp import experiment as digits_vp
from sde_jax.recipes.matching import Sliced
from sde_jax.recipes.quickstart import experiment as quickstart

experiment = dataclasses.replace(
    quickstart,
    matching=Sliced(),
    training=dataclasses.replace(quickstart.training, steps=600),
    evaluation=digits_vp.evaluation,
)
