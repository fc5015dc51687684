"""Handwritten digits by denoising and by sliced score matching: what is a gradient worth?

python -m experiments digits_matching

The score s(x, t) of noised images x_t = alpha x_0 + sigma noise, J = ds / dx, by

    denoising   E |sigma s(x_t, t) + noise|^2
    sliced      E 2 sigma^2 (|s|^2 / 2 + v . J v),   v random signs    arXiv:1905.07088

with one and the same expected gradient: see `ring_matching`. In 64 dimensions the trace would take
64 products with the Jacobian, and a slice takes one. Both train for about as many minutes:
`quickstart` and `digits_sliced` have one network and one process.

Look first in the table at what a step takes and how many times the variance its gradient has: their
product is how many times longer sliced matching needs for a gradient as good. Then in
`gradients.png` at which times the noise is, and in `samples.png` whether you see it. Two CPU
cores, five minutes.
"""

from experiments.studies.matching import MatchingComparison

study = MatchingComparison(runs=(("denoising", "quickstart"), ("sliced", "digits_sliced")))
