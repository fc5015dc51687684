"""Linear autoencoders of three numbers in two, of which everything is known, and their oracle."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import scipy.stats

from sde_jax.baselines.output import GaussianOutput
from sde_jax.baselines.vae import VAE

# Orthogonal columns: the posterior of the latents is then independent between them.
LOADINGS = np.stack([0.9 * np.array([2, 2, 1]) / 3, 0.5 * np.array([2, -1, -2]) / 3], axis=1)
BIAS = np.array([0.7, -0.2, 0.4])
SCALE = 0.4
KNOWN = np.random.default_rng(5).normal(BIAS, 0.8, (6, 3)).astype(np.float32)
"""Points of which everything is compared."""


class LinearEncoder(nn.Module):
    """A linear mean, and a deviation that does not depend on x."""

    latent: int

    @nn.compact
    def __call__(self, x):
        mean = nn.Dense(self.latent)(x)
        log_scale = self.param("log_scale", nn.initializers.zeros, (self.latent,))
        return mean, jnp.broadcast_to(log_scale[None], mean.shape)


def linear_vae(latent=2, dimension=3, **settings):
    return VAE(encoder=LinearEncoder(latent), decoder=nn.Dense(dimension), **settings)


class Truth:
    """Closed forms for ``z ~ N(mean, scale^2)`` and ``x ~ N(LOADINGS z + BIAS, SCALE^2)``.

    The encoder is the exact posterior or, if ``wrong``, another one, wider than it.
    """

    def __init__(self, mean=0.0, scale=1.0, wrong=False):
        precision = 1 / scale**2 + (LOADINGS**2).sum(axis=0) / SCALE**2
        self.exact = self.kernel, self.bias, self.log_scale = (
            LOADINGS / SCALE**2 / precision,
            (mean / scale**2 - BIAS @ LOADINGS / SCALE**2) / precision,
            -0.5 * np.log(precision),
        )
        if wrong:
            self.kernel = 0.8 * self.kernel
            self.bias, self.log_scale = self.bias + [0.1, -0.2], self.log_scale + [0.3, 0.1]
        self.mean = BIAS + LOADINGS @ np.full(2, mean)
        self.covariance = scale**2 * LOADINGS @ LOADINGS.T + SCALE**2 * np.eye(3)

    def params(self):
        tree = {
            "encoder": {
                "Dense_0": {"kernel": self.kernel, "bias": self.bias},
                "log_scale": self.log_scale,
            },
            "decoder": {"kernel": LOADINGS.T, "bias": BIAS},
            "output": {"log_scale": np.log(SCALE - GaussianOutput().scale_min)},
        }
        return float32(tree)

    def log_evidence(self, x):
        return scipy.stats.multivariate_normal(self.mean, self.covariance).logpdf(x)

    def gap(self, x):
        """``KL(q(z|x) || p(z|x))``: what the bound lacks."""
        kernel, bias, log_scale = self.exact
        offsets = x @ (self.kernel - kernel) + self.bias - bias
        ratio = np.exp(2 * (self.log_scale - log_scale))
        squares = offsets**2 / np.exp(2 * log_scale)
        return 0.5 * (ratio - 1 - np.log(ratio) + squares).sum(axis=1)

    def divergence(self, x):
        """``KL(q(z|x) || N(0, 1))``, from the densities on a grid."""
        z = np.linspace(-9, 9, 3001)
        total = 0.0
        for latent, log_scale in enumerate(self.log_scale):
            mean = x @ self.kernel[:, latent] + self.bias[latent]
            posterior = scipy.stats.norm(mean[:, None], np.exp(log_scale))
            excess = posterior.logpdf(z) - scipy.stats.norm.logpdf(z)
            total += np.trapezoid(posterior.pdf(z) * excess, z, axis=1)
        return total


def float32(tree):
    if isinstance(tree, dict):
        return {name: float32(leaf) for name, leaf in tree.items()}
    return jnp.asarray(tree, jnp.float32)


def z_scores(estimates, expected):
    """Returns the error of the mean over the first axis, in standard errors."""
    estimates = np.asarray(estimates, np.float64)
    error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    return (estimates.mean(axis=0) - expected) / error


def check_moments(samples, mean, covariance):
    """Mean and covariance of Gaussian samples, within 5 standard errors."""
    samples, count = np.asarray(samples, np.float64), len(samples)
    variances = np.diag(covariance)
    z = (samples.mean(axis=0) - mean) / np.sqrt(variances / count)
    assert np.abs(z).max() < 5, z
    error = np.sqrt((np.outer(variances, variances) + covariance**2) / count)
    z = (np.cov(samples.T) - covariance) / error
    assert np.abs(z).max() < 5, z
