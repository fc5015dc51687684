"""Estimates the variance of gradients of an objective over draws of a batch.

For independent gradients g_1 ... g_K of mean g, every statistic here is a function of their
products ``P_jk = g_j . g_k``: a matrix of K rows, however many parameters there are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from sde_jax.arrays import Array, Float, PyTree
from sde_jax.data import TRAIN, DataSource
from sde_jax.metrics import Estimate, jackknife_stderr
from sde_jax.objectives import SampledTimes, TimeSampler
from sde_jax.randomness import Seeds, example_seeds
from sde_jax.recipes import Denoising, Implicit, ScoreExperiment, Sliced
from sde_jax.sde import LinearSDE

Matching = Denoising | Sliced | Implicit
Gradient = Callable[
    [PyTree, Seeds, Float[Array, "batch *shape"], SampledTimes], Float[Array, "parameters"]
]
"""A gradient as a function of the parameters, and of examples, their seeds and times."""
Products = Float[np.ndarray, "draws draws"]


@dataclass(frozen=True, kw_only=True)
class FixedTime:
    """A `TimeSampler` that gives every example the same time."""

    t: float

    def __call__(self, seeds: Seeds, sde: LinearSDE) -> SampledTimes:
        """Returns t for each example."""
        ones = jnp.ones_like(seeds.quantiles)
        return SampledTimes(self.t * ones, ones)


def gradient_of(experiment: ScoreExperiment, matching: Matching) -> Gradient:
    """Returns the gradient of the mean loss of a batch, as a vector; not compiled.

    The objective is the experiment's with another matching, without dropout and labels.
    """
    model, weighting = experiment.model(), experiment.weighting

    def gradient(
        params: PyTree,
        seeds: Seeds,
        x0: Float[Array, "batch *shape"],
        sampled: SampledTimes,
    ) -> Float[Array, "parameters"]:
        objective = matching.build(model, lambda seeds, sde: sampled, weighting)

        def mean_loss(params: PyTree) -> Float[Array, ""]:
            return objective.losses(params, seeds, x0, deterministic=True).mean()

        return ravel_pytree(jax.grad(mean_loss)(params))[0]

    return gradient


def gradients(
    gradient: Gradient,
    params: PyTree,
    source: DataSource,
    times: TimeSampler,
    sde: LinearSDE,
    *,
    batch_size: int,
    draws: int,
) -> Float[np.ndarray, "draws parameters"]:
    """Yields gradients of independent training batches, times, noise and directions.

    Draw k has the same batch and times for every gradient.
    """

    def drawn() -> Iterator[np.ndarray]:
        for number in range(draws):
            key = jax.random.fold_in(jax.random.key(0), number)
            key_data, key_example = jax.random.split(key)
            x0 = next(source.stream(key_data, TRAIN, batch_size)).x
            seeds_time, seeds_loss = example_seeds(key_example, batch_size).split()
            yield jax.device_get(gradient(params, seeds_loss, x0, times(seeds_time, sde)))

    return np.stack(list(drawn()))


def products(gradients: Float[np.ndarray, "draws parameters"]) -> Products:
    """Returns ``P_jk = g_j . g_k``, in float64."""
    rows = np.asarray(gradients, np.float64)
    return rows @ rows.T


def variance(products: Products) -> float:
    """Estimates ``E |g_k - g|^2``, the trace of the covariance, without bias."""
    count = len(products)
    return float((np.trace(products) - products.sum() / count) / (count - 1))


def squared_mean(products: Products) -> float:
    """Estimates ``|g|^2`` without bias, from products of different draws; it may be negative."""
    count = len(products)
    return float((products.sum() - np.trace(products)) / (count * (count - 1)))


def estimate(statistic: Callable[..., float], *products: Products) -> Estimate:
    """Estimates a statistic of products, with its jackknife error.

    Draw k is left out of all ``products`` at once, since these may share its batch.
    """
    count = len(products[0])

    def without(left_out: int) -> float:
        rest = np.delete(np.arange(count), left_out)
        return statistic(*(each[np.ix_(rest, rest)] for each in products))

    replicates = [without(number) for number in range(count)]
    return Estimate(statistic(*products), jackknife_stderr(replicates), (count,))


def signal_to_noise(mean_of: Products, of: Products) -> float:
    """Divides the squared mean of a set of gradients by the variance of one of the same mean."""
    return squared_mean(mean_of) / variance(of)


def times_variance(of: Products, yardstick: Products) -> float:
    """Divides the variance of one set of gradients by that of another."""
    return variance(of) / variance(yardstick)
