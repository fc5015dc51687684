"""A classifier that is exact: its classes are the components of a Gaussian mixture."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import oracles
from jax.scipy.stats import multivariate_normal

from sde_jax.arrays import Array, expand_like
from sde_jax.score import ClassifierModel, ScaledTime
from sde_jax.sde import LinearSDE

DATA_DEVIATION = 0.6


class Outputs(NamedTuple):
    logits: Array


class Posterior(nn.Module):
    """``log w_k + log N(x_t; alpha m_k, alpha^2 C_k + sigma^2) + 3``, told t itself."""

    sde: LinearSDE
    components: int = 2

    @nn.compact
    def __call__(self, x, time, *, deterministic):
        count, ones = self.components, nn.initializers.ones
        weights = self.param("weights", ones, (count,))
        means = self.param("means", ones, (count, x.shape[1]))
        covariances = self.param("covariances", ones, (count, x.shape[1], x.shape[1]))
        alpha, sigma = expand_like(self.sde.alpha(time), x), expand_like(self.sde.sigma(time), x)
        x = x * jnp.sqrt((alpha * DATA_DEVIATION) ** 2 + sigma**2)

        def of_component(weight, mean, covariance):
            noised = alpha[:, :, None] ** 2 * covariance[None]
            noised = noised + sigma[:, :, None] ** 2 * jnp.eye(x.shape[1])[None]
            density = jax.vmap(multivariate_normal.logpdf)(x, alpha * mean[None], noised)
            return jnp.log(weight) + density + 3

        return Outputs(jax.vmap(of_component, out_axes=1)(weights, means, covariances))


def posterior_model(sde):
    return ClassifierModel(
        network=Posterior(sde),
        sde=sde,
        time_condition=ScaledTime(scale=1.0),
        data_deviation=DATA_DEVIATION,
    )


def params_of(mixture):
    """The parameters of the network that is exact for this `oracles.Mixture`."""
    arrays = {
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
    }
    return {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}


def log_posterior(mixture, x):
    """``log p(component | x)`` in numpy, of an `oracles.Mixture` at its own noise."""
    alone = [
        oracles.Mixture(np.array([w]), m[None], c[None]).log_density(x)
        for w, m, c in zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    ]
    return np.stack(alone, axis=1) - mixture.log_density(x)[:, None]
