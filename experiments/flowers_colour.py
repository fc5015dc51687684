"""Flowers of Oxford 102 (64x64) in colour, VP.

sde-jax train flowers_colour

`flowers_vp` in colour. Meant for a GPU; not run to its end yet.
"""

import dataclasses

from experiments.flowers_vp import data
from experiments.flowers_vp import experiment as flowers_vp

experiment = dataclasses.replace(flowers_vp, data=dataclasses.replace(data, grey=False))
