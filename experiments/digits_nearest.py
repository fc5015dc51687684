"""Handwritten digits (8x8): are samples copies of training images?

python -m experiments digits_nearest

What to look at is in `mnist_nearest`. Most held-out digits are by other writers than the training
digits, and so farther from these than samples of the same distribution would be.
"""

from experiments.studies.nearest import NearestImages

study = NearestImages(run="digits_vp", classifier="digits_classifier")
