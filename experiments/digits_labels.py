"""Handwritten digits (8x8) with their labels, VP: one network with and without them.

sde-jax train digits_labels

The label is kept from a tenth of the training examples (Ho and Salimans 2022, arXiv:2207.12598), so
that the network is the score of all digits and of each class: `edit RUN --task class`. Two CPU
cores that did much other work, 32 minutes; told no label, 1.90 bits per dimension of held-out
digits, and all of 80 digits of a class are taken for it by `digits_classifier`.
"""

import dataclasses

from experiments.digits_vp import experiment as digits_vp
from experiments.digits_vp import network

experiment = dataclasses.replace(digits_vp, network=dataclasses.replace(network, classes=10))
