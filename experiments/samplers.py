"""MNIST: which sampler is best, for how many evaluations of the network?

python -m experiments samplers

One score s(x, t), and many ways to follow the reversed process

    dx = (a x - g^2 s) dt + g dw    or its flow    dx/dt = a x - g^2 s / 2.

Look at `figure.png`: quality against evaluations, and against seconds. Solvers of high order in log
signal-to-noise ratio need tens of evaluations where Euler-Maruyama needs hundreds; those that add
noise need more steps, and end better where the network errs, because noise hides its errors.
"""

import dataclasses

from experiments.digits_samplers import study as digits_samplers

study = dataclasses.replace(
    digits_samplers,
    run="mnist_vp_narrow",
    classifier="mnist_classifier",
    evaluations=6000,
    least=128,
    most=512,
)
