"""MNIST by denoising and by sliced score matching: quality, noise of the gradient, time of a step.

python -m experiments mnist_matching

The score s(x, t) of noised images x_t = alpha x_0 + sigma noise, J = ds / dx, by

    denoising   E |sigma s(x_t, t) + noise|^2
    sliced      E 2 sigma^2 (|s|^2 / 2 + v . J v),   v random signs    arXiv:1905.07088

with one and the same expected gradient: see `ring_matching`. The question is that of
`digits_matching` in 16 times as many dimensions: does the noise of a slice grow with them?
`mnist_vp_narrow` and `mnist_sliced` have one network and one process and train for about as many
minutes, the second for fewer steps.

Look at the variance of the gradient in the table beside that of the digits, at the samples in
`samples.png`, and at bits per dimension, which sliced matching, too, brings down without ever being
told a noise.
"""

from experiments.studies.matching import MatchingComparison

study = MatchingComparison(
    runs=(("denoising", "mnist_vp_narrow"), ("sliced", "mnist_sliced")), draws=16
)
