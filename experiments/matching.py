"""Studies of score matching: denoising, sliced and implicit, by quality, noise and time."""

from experiments.studies.matching import MatchingComparison
from experiments.studies.study import Study


def ring_matching() -> Study:
    """A ring by denoising, sliced and implicit score matching: one minimum, three prices.

    python -m experiments ring_matching

    All three learn the score s(x, t) of noised data x_t = alpha x_0 + sigma noise; J = ds / dx:

        denoising   E |sigma s(x_t, t) + noise|^2                 Vincent 2011
        implicit    E 2 sigma^2 (|s|^2 / 2 + tr J)                Hyvarinen 2005
        sliced      E 2 sigma^2 (|s|^2 / 2 + v . J v)             Song et al. 2019, arXiv:1905.07088

    Integration by parts turns the first into the second, and E[v v^T] = 1 the second into the
    third, up to a constant: they have the same minimum, and the same expected gradient at any
    parameters. They differ in how far the gradient of one batch is from it, and in the time of a
    step. N times the variance needs N times the examples for a gradient as good.

    Look at `gradients.png`, at the same parameters and with one time for all examples of a batch.
    Where there is much noise (t near 1), x_t almost determines its noise, and denoising, which
    knows the noise, has nearly no variance; for the others |s|^2 and tr J, each of the size of the
    dimension, cancel only in the mean. Where there is little (t near 0), the data hide the noise:
    knowing it helps little there, and denoising is the noisier method in `digits_matching`. A slice
    adds noise to the trace, and saves one product with the Jacobian for each further dimension: one
    product in the plane. Then look in `samples.png` at how wide the rings are after the same number
    of steps.

    The two studies on images, `digits_matching` and `mnist_matching`, give both methods the same
    minutes.
    """
    return MatchingComparison(
        runs=(("denoising", "ring"), ("sliced", "ring_sliced"), ("implicit", "ring_implicit"))
    )


def digits_matching() -> Study:
    """Handwritten digits (8x8) by denoising and by sliced score matching: what is a gradient worth?

    python -m experiments digits_matching

    The score s(x, t) of noised images x_t = alpha x_0 + sigma noise, J = ds / dx, by

        denoising   E |sigma s(x_t, t) + noise|^2
        sliced      E 2 sigma^2 (|s|^2 / 2 + v . J v),   v random signs    arXiv:1905.07088

    with the same expected gradient: see `ring_matching`. In 64 dimensions the trace would take 64
    products with the Jacobian, and a slice takes one. Both train for about as many minutes:
    `quickstart` and `digits_sliced` have one network and one process.

    Look first in the table at the time of a step and the ratio of the variances of the gradients:
    their product is how many times longer sliced matching needs for a gradient as good. Then look
    in `gradients.png` for the times at which the noise is, and in `samples.png` for whether you see
    it. Two CPU cores, 5 minutes.
    """
    return MatchingComparison(runs=(("denoising", "quickstart"), ("sliced", "digits_sliced")))


def mnist_matching() -> Study:
    """MNIST by denoising and by sliced score matching: quality, noise of gradients, time of a step.

    python -m experiments mnist_matching

    The score s(x, t) of noised images x_t = alpha x_0 + sigma noise, J = ds / dx, by

        denoising   E |sigma s(x_t, t) + noise|^2
        sliced      E 2 sigma^2 (|s|^2 / 2 + v . J v),   v random signs    arXiv:1905.07088

    with the same expected gradient: see `ring_matching`. It asks the question of `digits_matching`
    in 16 times as many dimensions: does the noise of a slice grow with them? `mnist_vp_narrow` and
    `mnist_sliced` have one network and one process and train for about as many minutes, the second
    for fewer steps.

    Look at the variance of the gradient in the table beside that of the digits, at the samples in
    `samples.png`, and at bits per dimension, which sliced matching also lowers without ever knowing
    the noise.
    """
    return MatchingComparison(
        runs=(("denoising", "mnist_vp_narrow"), ("sliced", "mnist_sliced")), draws=16
    )
