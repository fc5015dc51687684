"""Handwritten digits (8x8) with their labels, VP: one network with and without them.

python -m experiments train digits_labels

The label is kept from a tenth of the training examples (Ho and Salimans 2022, arXiv:2207.12598), so
that the network is the score of all digits and of each class. Two CPU cores, about 9 minutes. Not
run to its end yet.
"""

import dataclasses

from experiments.digits_vp import experiment as digits_vp
from experiments.digits_vp import network

experiment = dataclasses.replace(digits_vp, network=dataclasses.replace(network, classes=10))
