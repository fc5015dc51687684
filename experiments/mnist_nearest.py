"""MNIST: are samples copies of training images?

python -m experiments mnist_nearest

A model that has learned the distribution is as far from its training images as other images of it
are; one that copies is nearer. With d(x) the distance of x to the nearest training image, compare
the median of d over samples and over held-out images, and P(d(sample) < d(held-out)), which is 1/2
where nothing is copied. Look at `neighbours.png`: samples beside their nearest training images, in
pixels and in a classifier's features. Strokes should differ; a copy would be the same.
"""

from experiments.studies.nearest import NearestImages

study = NearestImages(run="mnist_vp_narrow", classifier="mnist_classifier")
