"""A ring by denoising, sliced and implicit score matching: one minimum, three prices.

python -m experiments ring_matching

All three look for the score s(x, t) of noised data x_t = alpha x_0 + sigma noise, J = ds / dx:

    denoising   E |sigma s(x_t, t) + noise|^2                 Vincent 2011
    implicit    E 2 sigma^2 (|s|^2 / 2 + tr J)                Hyvarinen 2005
    sliced      E 2 sigma^2 (|s|^2 / 2 + v . J v)             Song et al. 2019, arXiv:1905.07088

Integration by parts turns the first into the second, and E[v v^T] = 1 the second into the third,
but for a constant: they have the same minimum, and at any parameters the same expected gradient.
What differs is how far the gradient of one batch is from it, and what a step takes. N times the
variance wants N times the examples for a gradient that is as good.

Look at `gradients.png`. The same parameters, one time for all examples of a batch: where there is
much noise (t near 1), it is all but known what the noise in x_t was, and denoising, which is told,
has next to no variance; for the others |s|^2 and tr J, each of the size of the dimension, cancel in
the mean alone. Where there is little (t near 0), the data hide which noise it was: being told one
that is as good as random helps little, and in `digits_matching` is the noisier way. A slice adds
noise to the trace, and saves a product with the Jacobian for each further dimension: in the plane
that is one. Then look in `samples.png` at how wide the rings are after the same number of steps.

The two studies on images, `digits_matching` and `mnist_matching`, give both methods the same
minutes.
"""

from experiments.studies.matching import MatchingComparison

study = MatchingComparison(
    runs=(("denoising", "ring"), ("sliced", "ring_sliced"), ("implicit", "ring_implicit"))
)
