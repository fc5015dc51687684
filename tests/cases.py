"""The processes and the lopsided data that most tests run over."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from sde_jax.score import GaussianMixture
from sde_jax.sde import VE, VP, CosineVP, FlowMatching, OrnsteinUhlenbeck, SubVP

SDES = {
    "vp": VP(),
    "subvp": SubVP(),
    "ve": VE(),
    "ou": OrnsteinUhlenbeck(),
    "cosine": CosineVP(),
    "flow-matching": FlowMatching(),
}
each_sde = pytest.mark.parametrize("sde", SDES.values(), ids=SDES.keys())
each_name = pytest.mark.parametrize("name", SDES)


def slow_but(*quick):
    """The names of all processes; those that are not ``quick`` are run among the slow tests."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in SDES]


each_name_slowly = pytest.mark.parametrize("name", slow_but("vp", "ve"))
each_sde_slowly = pytest.mark.parametrize(
    "sde",
    [pytest.param(SDES[one.values[0]], marks=one.marks) for one in slow_but("vp", "ve")],
    ids=SDES,
)

MEAN, DEVIATION = 0.7, 0.4


def gaussian(dimension=1):
    """The lopsided Gaussian, with equal coordinates."""
    means = jnp.full((1, dimension), MEAN)
    return GaussianMixture(jnp.ones(1), means, jnp.full((1, dimension), DEVIATION**2))


def line_mixture():
    """An unequal mixture of two Gaussians on the line."""
    means, variances = jnp.asarray([[-0.5], [0.9]]), jnp.asarray([[0.04], [0.16]])
    return GaussianMixture(jnp.asarray([0.3, 0.7]), means, variances)


def plane_mixture():
    """An unequal mixture of two correlated Gaussians in the plane."""
    weights, means, covariances = plane_mixture_arrays()
    return GaussianMixture.from_covariances(
        jnp.asarray(weights), jnp.asarray(means), jnp.asarray(covariances)
    )


def plane_mixture_arrays():
    """Weights, means and covariances of `plane_mixture`."""
    weights = np.array([0.35, 0.65])
    means = np.array([[-0.6, 0.3], [0.8, -0.2]])
    covariances = np.array([[[0.20, 0.12], [0.12, 0.10]], [[0.05, -0.03], [-0.03, 0.15]]])
    return weights, means, covariances


def oracle_of(mixture):
    """The oracle of a mixture along the coordinate axes."""
    variances = np.asarray(mixture.variances, np.float64)
    covariances = np.stack([np.diag(v) for v in variances])
    weights = np.asarray(mixture.weights, np.float64)
    return oracles.Mixture(weights, np.asarray(mixture.means, np.float64), covariances)


def keys(key, count):
    """One key for each sample."""
    return jax.random.split(key, count)
