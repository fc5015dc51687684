"""Flowers (32x32), narrow, grey and colour: predictor-corrector, Euler-Maruyama and the flow.

python -m experiments flowers_narrow_samplers

What to look at is in `flowers_samplers`. A network so short of training errs; noise corrects some
of it along the way, and the flow keeps it.
"""

from experiments.studies.side_by_side import SideBySide

study = SideBySide(runs=(("grey", "flowers_narrow"), ("colour", "flowers_colour_narrow")), count=36)
