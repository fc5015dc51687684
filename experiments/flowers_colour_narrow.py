"""Flowers of Oxford 102 (32x32) in colour, VP, narrow.

python -m experiments flowers_colour_narrow

`flowers_narrow` in colour.
"""

import dataclasses

from experiments.flowers_narrow import data
from experiments.flowers_narrow import experiment as flowers_narrow

experiment = dataclasses.replace(flowers_narrow, data=dataclasses.replace(data, grey=False))
