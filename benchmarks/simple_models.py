"""Measures bits per dimension of the held-out digits under models without a network.

    python -m benchmarks.simple_models

Independent pixels are histograms of the 17 grey levels, with one count added to each. Mixtures of
Gaussians with full covariances are fitted to uniformly dequantized data, as score models are. The
command prints rows of the table in README.md.
"""

import math

import numpy as np
from sklearn.mixture import GaussianMixture

from sde_jax.data import Digits

LEVELS = 17
WIDENING = 0.1
"""Variance added to those of a mixture, in squared grey levels."""


def independent_pixels(train: np.ndarray, test: np.ndarray) -> float:
    """Returns bits per dimension of ``test`` under histograms of each pixel of ``train``."""
    counts = 1 + np.stack([np.bincount(pixel, minlength=LEVELS) for pixel in train.T])
    probabilities = counts / counts.sum(axis=1, keepdims=True)
    return float(-np.log2(probabilities[np.arange(train.shape[1]), test]).mean())


def gaussian_mixture(train: np.ndarray, test: np.ndarray, components: int) -> float:
    """Returns bits per dimension of ``test`` under a mixture fitted to ``train``."""
    rng = np.random.default_rng(0)
    train, test = (levels + rng.uniform(size=levels.shape) for levels in (train, test))
    mixture = GaussianMixture(components, reg_covar=WIDENING, random_state=0).fit(train)
    return -mixture.score(test) / train.shape[1] / math.log(2)


def main() -> None:
    """Prints a row for each model."""
    images = Digits().load().images
    train, test = (images[split].reshape(-1, 64).astype(int) for split in ("train", "test"))
    print(f"| independent pixels | {independent_pixels(train, test):.2f} |")
    for components in (1, 10):
        name = f"mixture of {components} full Gaussians" if components > 1 else "one full Gaussian"
        print(f"| {name} | {gaussian_mixture(train, test, components):.2f} |")


if __name__ == "__main__":
    main()
