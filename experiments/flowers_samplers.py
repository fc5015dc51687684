"""Flowers (64x64), grey and colour: predictor-corrector, Euler-Maruyama and the probability flow.

python -m experiments flowers_samplers

The question that this project goes back to: which of

    Euler-Maruyama           x <- x - (a x - g^2 s) dt + g sqrt(dt) noise, 2000 steps
    predictor-corrector      the same with a Langevin step after each, 2000 steps, snr 0.15
    probability flow         dx/dt = a x - g^2 s / 2, adaptively

draws the best flowers? The original found the flow best, by eye. Kernel distances are in pixels.
"""

from experiments.studies.side_by_side import SideBySide

study = SideBySide(runs=(("grey", "flowers_vp"), ("colour", "flowers_colour")), count=36)
