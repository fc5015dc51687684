"""Variational autoencoders."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Key, PRNGKeyArray, PyTree, sum_except_batch
from sde_jax.baselines.autoencoder import Posterior
from sde_jax.baselines.output import GaussianOutput, OutputDistribution
from sde_jax.initialization import initialize
from sde_jax.likelihood import LogLikelihoods
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.sampling import Samples

__all__ = ["VAE", "Weighed"]


class Weighed(NamedTuple):
    """Latents drawn from ``q(z|x)`` and what they say of the data, but for their prior."""

    latents: Float[Array, "batch *latent"]
    log_ratio: Float[Array, "batch"]
    """``log p(x|z) - log q(z|x)``, in nats: with ``log p(z)`` added, its mean bounds ``log p(x)``
    from below."""


@dataclass(frozen=True, kw_only=True)
class VAE:
    """A variational autoencoder, ``z ~ N(0, 1)`` and ``x ~ p(x|z)``, trained on the bound

    ::

        log p(x) >= E_q(z|x) log p(x|z) - beta KL(q(z|x) || N(0, 1))

    of Kingma and Welling 2014 (arXiv:1312.6114), eq. 3; it holds for beta = 1 or more (Higgins et
    al. 2017). The modules are called as ``encoder(x)``, which gives a `Posterior`, and
    ``decoder(z)``, which gives an output of the data's shape; neither is told of dropout.

    Raises:
      ValueError: unless ``beta`` is positive and ``importance_samples`` at least 1.
    """

    encoder: nn.Module
    decoder: nn.Module
    output: OutputDistribution = GaussianOutput()
    beta: float = 1.0
    """Weight of the divergence in training."""
    importance_samples: int = 1
    """Draws K of `log_likelihoods`."""

    def __post_init__(self) -> None:
        if not 0 < self.beta < math.inf:
            raise ValueError(f"`beta` must be positive and finite: got {self.beta}.")
        if self.importance_samples < 1:
            raise ValueError(
                f"`importance_samples` must be at least 1: got {self.importance_samples}."
            )

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Initial parameters, for examples of ``shape``: encoder, decoder and output."""
        key_encoder, key_decoder = jax.random.split(key)
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        params = {"encoder": initialize(self.encoder, key_encoder, x), "output": self.output.init()}
        latents = jax.eval_shape(self.posterior, params, x).mean
        return params | {"decoder": initialize(self.decoder, key_decoder, latents)}

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Float[Array, "batch *shape"],
        *,
        deterministic: bool = False,
    ) -> Float[Array, "batch"]:
        """Returns each example's bound, negated, in nats: at one draw of z from its seed.

        The divergence is in closed form. ``deterministic`` changes nothing.
        """
        posterior = self.posterior(params, x)
        output = self._decode(params, posterior.draw(seeds.keys))
        log_density = self.output.log_density(params["output"], output, x)
        return self.beta * posterior.divergence() - log_density

    def sample(
        self,
        params: PyTree,
        keys: Key[Array, "batch"],
        shape: tuple[int, ...],
        *,
        noise: bool = False,
    ) -> Samples:
        """One sample of ``shape`` for each key: the mean of p(x|z) or, with ``noise``, a draw.

        The model's samples are the draws; published pictures and distances are of the means.
        """
        key_latent, key_output = jax.vmap(jax.random.split, out_axes=1)(keys)
        example = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        latent_shape = jax.eval_shape(self.posterior, params, example).mean.shape[1:]
        latents = unit_noise(key_latent, latent_shape)
        if noise:
            output = self._decode(params, latents)
            x = self.output.draw(params["output"], key_output, output)
        else:
            x = self.decode(params, latents)
        return Samples(x, jnp.ones(len(x), jnp.int32), jnp.ones(len(x), bool))

    def log_likelihoods(
        self, params: PyTree, keys: Key[Array, "batch"], x: Float[Array, "batch *shape"]
    ) -> LogLikelihoods:
        """The importance weighted bound of ``log p(x)``, in nats and model coordinates.

        ::

            log p(x) >= E log 1/K sum_k p(x|z_k) N(z_k; 0, 1) / q(z_k|x)

        Burda et al. 2016 (arXiv:1509.00519), eq. 8, with one draw of the K latents for each key,
        one after the other. For K = 1 it is the bound of training; it rises with K, towards
        ``log p(x)``. What the estimate lacks to that is unknown; ``nfe`` counts decodings.

        Raises:
          ValueError: if ``output`` is no density of the data.
        """
        if not self.output.is_density:
            raise ValueError(
                "log likelihoods need an `output` that is a density of the data: got "
                f"{self.output}, which is a loss alone."
            )

        def log_weights(index: Array) -> Float[Array, "batch"]:
            own_keys = jax.vmap(lambda key: jax.random.fold_in(key, index))(keys)
            weighed = self._weigh(params, own_keys, posterior, x)
            log_prior = sum_except_batch(jax.scipy.stats.norm.logpdf(weighed.latents))
            return log_prior + weighed.log_ratio

        count = self.importance_samples
        with jax.default_matmul_precision("highest"):
            posterior = self.posterior(params, x)
            all_weights = jax.lax.map(log_weights, jnp.arange(count))
        nats = jax.nn.logsumexp(all_weights, axis=0) - math.log(count)
        evaluations = jnp.full(len(x), count, jnp.int32)
        return LogLikelihoods(nats, jnp.full(len(x), jnp.nan), evaluations, jnp.ones(len(x), bool))

    def posterior(self, params: PyTree, x: Float[Array, "batch *shape"]) -> Posterior:
        """``q(z|x)``."""
        moments: Any = self.encoder.apply({"params": params["encoder"]}, x)
        return Posterior(*moments)

    def encode(
        self, params: PyTree, keys: Key[Array, "batch"], x: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch *latent"]:
        """Draws from ``q(z|x)`` for each key."""
        return self.posterior(params, x).draw(keys)

    def weigh(
        self, params: PyTree, keys: Key[Array, "batch"], x: Float[Array, "batch *shape"]
    ) -> Weighed:
        """A draw from ``q(z|x)`` for each key, and its log ratio."""
        return self._weigh(params, keys, self.posterior(params, x), x)

    def decode(
        self, params: PyTree, latents: Float[Array, "batch *latent"]
    ) -> Float[Array, "batch *shape"]:
        """The mean of ``p(x|z)``."""
        return self.output.mean(params["output"], self._decode(params, latents))

    def _weigh(
        self, params: PyTree, keys: Key[Array, "batch"], posterior: Posterior, x: Array
    ) -> Weighed:
        noise = unit_noise(keys, posterior.mean.shape[1:])
        latents = posterior.at(noise)
        output = self._decode(params, latents)
        log_density = self.output.log_density(params["output"], output, x)
        return Weighed(latents, log_density - posterior.log_density(noise))

    def _decode(self, params: PyTree, latents: Array) -> Float[Array, "batch *shape"]:
        return jnp.asarray(self.decoder.apply({"params": params["decoder"]}, latents))
