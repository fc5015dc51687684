"""Gaussian mixtures: the score, density and denoiser of the noised data in closed form."""

import functools
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, Float, PerExample, PRNGKeyArray, pytree
from sde_jax.sde.base import LinearSDE, Time

# Exact results must not depend on the device's default matmul precision.
_einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


@pytree
@dataclass(frozen=True)
class GaussianMixture:
    """Data distributed as ``sum_k w_k N(m_k, U_k diag(v_k) U_k^T)``, and its marginals under an
    SDE.

    At time t component k has mean ``alpha m_k`` and variances ``alpha^2 v_k + sigma^2`` along the
    same axes, so score, density and denoiser are exact for every `LinearSDE`. Examples of any shape
    are flattened to D numbers. The mixture is a pytree.
    """

    weights: Float[Array, "components"]
    """Positive; they sum to 1."""
    means: Float[Array, "components dimension"]
    variances: Float[Array, "components dimension"]
    """Variances along the axes. A zero variance is a point mass, valid for t > 0 only."""
    axes: Float[Array, "components dimension dimension"] | None = None
    """Orthonormal columns ``U_k``; None for the coordinate axes."""

    @staticmethod
    def from_covariances(
        weights: Float[Array, "components"],
        means: Float[Array, "components dimension"],
        covariances: Float[Array, "components dimension dimension"],
    ) -> "GaussianMixture":
        """Builds the mixture from full covariance matrices."""
        variances, axes = jnp.linalg.eigh(covariances)
        return GaussianMixture(weights, means, variances, axes)

    def sample(self, key: PRNGKeyArray, count: int) -> Float[Array, "count dimension"]:
        """Draws ``count`` examples."""
        key_component, key_noise = jax.random.split(key)
        chosen = jax.random.choice(key_component, self.weights.size, (count,), p=self.weights)
        noise = jax.random.normal(key_noise, (count, self.means.shape[1]), self.means.dtype)
        offsets = jnp.sqrt(self.variances[chosen]) * noise
        if self.axes is not None:
            offsets = _einsum("nij,nj->ni", self.axes[chosen], offsets)
        return self.means[chosen] + offsets

    def log_density(self, sde: LinearSDE, x: Examples, t: Time) -> PerExample:
        """Returns ``log p_t(x)``, in nats."""
        offsets, variances = self._at(sde, x, t)
        return jax.nn.logsumexp(self._log_joint(offsets, variances), axis=1)

    def score(self, sde: LinearSDE, x: Examples, t: Time) -> Examples:
        """Returns the gradient of ``log p_t`` at ``x``."""
        offsets, variances = self._at(sde, x, t)
        responsibilities = jax.nn.softmax(self._log_joint(offsets, variances), axis=1)
        pulls = self._to_coordinates(-offsets / variances)
        return _einsum("nk,nki->ni", responsibilities, pulls).reshape(x.shape)

    def denoised(self, sde: LinearSDE, x: Examples, t: Time) -> Examples:
        """Returns the posterior mean ``E[x_0 | x_t = x]``, a mixture of that of each component."""
        offsets, variances = self._at(sde, x, t)
        responsibilities = jax.nn.softmax(self._log_joint(offsets, variances), axis=1)
        alpha = jnp.broadcast_to(sde.alpha(t), x.shape[:1])[:, None, None]
        corrections = self._to_coordinates(alpha * self.variances[None] * offsets / variances)
        posterior_means = self.means[None] + corrections
        return _einsum("nk,nki->ni", responsibilities, posterior_means).reshape(x.shape)

    def _at(self, sde: LinearSDE, x: Array, t: Time) -> tuple[Array, Array]:
        """Returns offsets from each component's mean, and variances, along its axes."""
        alpha = jnp.broadcast_to(sde.alpha(t), x.shape[:1])[:, None, None]
        sigma = jnp.broadcast_to(sde.sigma(t), x.shape[:1])[:, None, None]
        offsets = x.reshape(x.shape[0], 1, -1) - alpha * self.means[None]
        if self.axes is not None:
            offsets = _einsum("kij,nki->nkj", self.axes, offsets)
        return offsets, alpha**2 * self.variances[None] + sigma**2

    def _log_joint(self, offsets: Array, variances: Array) -> Float[Array, "batch components"]:
        terms = offsets**2 / variances + jnp.log(2 * jnp.pi * variances)
        return jnp.log(self.weights)[None] - 0.5 * terms.sum(axis=2)

    def _to_coordinates(self, along_axes: Array) -> Array:
        if self.axes is None:
            return along_axes
        return _einsum("kij,nkj->nki", self.axes, along_axes)


@pytree
@dataclass(frozen=True)
class MixtureScore:
    """The exact score of a `GaussianMixture` under an SDE."""

    mixture: GaussianMixture
    sde: LinearSDE = field(metadata={"static": True})

    def __call__(self, x: Examples, t: Time) -> Examples:
        return self.mixture.score(self.sde, x, t)
