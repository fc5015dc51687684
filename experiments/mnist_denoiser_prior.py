"""MNIST (28x28 padded to 32x32), drawn with denoisers that were trained for denoising alone.

python -m experiments mnist_denoiser_prior

Narrow. Is a denoiser a prior? Its residual f(y) - y is level^2 times the score of noised images, so
that it is one once the noise has the right scale. What to look at is in `digits_denoiser_prior`;
the told denoiser, followed by Tweedie's formula, is the score model of the same training. Of the
blind one's samples most do not come to a digit after so few steps.
"""

import dataclasses

from experiments.digits_denoiser_prior import experiment as digits_denoiser_prior
from experiments.mnist_vp_narrow import experiment as mnist_vp_narrow
from sde_jax.training.settings import Training

experiment = dataclasses.replace(
    digits_denoiser_prior,
    data=mnist_vp_narrow.data,
    network=mnist_vp_narrow.network,
    level_max=30.0,
    optimizer=mnist_vp_narrow.optimizer,
    training=Training(
        steps=1200, batch_size=64, eval_every=400, eval_examples=2048, checkpoint_every=300
    ),
    evaluation=mnist_vp_narrow.evaluation,
)
