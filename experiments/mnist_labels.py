"""MNIST (28x28 padded to 32x32) with its labels, VP, narrow: one network with and without them.

sde-jax train mnist_labels

The label is kept from a tenth of the training examples (Ho and Salimans 2022, arXiv:2207.12598), so
that the network is the score of all digits and of each class: `edit RUN --task class`. Two CPU
cores that did much other work, 27 minutes; 98 +- 2 % of 60 digits of a class are taken for it by
`mnist_classifier`.
"""

import dataclasses

from experiments.mnist_vp_narrow import experiment as mnist_vp_narrow
from experiments.mnist_vp_narrow import network
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

experiment = dataclasses.replace(
    mnist_vp_narrow,
    network=dataclasses.replace(network, dropout=0.1, classes=10),
    optimizer=Adam(learning_rate=2e-3, warmup_steps=200, decay="cosine"),
    training=Training(steps=1300, batch_size=64, eval_every=650),
)
