"""Variational autoencoders."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from sde_jax.arrays import (
    Array,
    Examples,
    Keys,
    PerExample,
    PRNGKeyArray,
    PyTree,
    sum_except_batch,
)
from sde_jax.baselines.autoencoder import Latents, Posterior
from sde_jax.baselines.output import GaussianOutput, OutputDistribution
from sde_jax.initialization import initialize
from sde_jax.likelihood import LogLikelihoods
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.sampling import Samples
from sde_jax.validation import FINITE, Spec, at_least


class WeightedLatents(NamedTuple):
    """Latents drawn from ``q(z|x)``, with their importance weights up to the prior."""

    latents: Latents
    log_ratio: PerExample
    """``log p(x|z) - log q(z|x)`` in nats. The mean of ``log_ratio + log p(z)`` is a lower bound of
    ``log p(x)``."""


@dataclass(frozen=True, kw_only=True)
class VAE(Spec):
    """A variational autoencoder with ``z ~ N(0, 1)`` and ``x ~ p(x|z)``, trained on the bound

    ::

        log p(x) >= E_q(z|x) log p(x|z) - beta KL(q(z|x) || N(0, 1))

    of Kingma and Welling 2014 (arXiv:1312.6114), eq. 3. The bound holds for beta of at least 1
    (Higgins et al. 2017). ``encoder(x)`` returns a `Posterior` and ``decoder(z)`` an output of the
    data's shape. Neither has dropout.

    Raises:
      ValueError: unless ``beta`` is positive and ``importance_samples`` at least 1.
    """

    encoder: nn.Module
    decoder: nn.Module
    output: OutputDistribution = GaussianOutput()
    beta: Annotated[float, FINITE] = 1.0
    """Weight of the divergence in training."""
    importance_samples: Annotated[int, at_least(1)] = 1
    """Number K of latents that `log_likelihoods` draws."""

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Returns initial parameters of encoder, decoder and output for examples of ``shape``."""
        key_encoder, key_decoder = jax.random.split(key)
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        params = {"encoder": initialize(self.encoder, key_encoder, x), "output": self.output.init()}
        latents = jax.eval_shape(self.posterior, params, x).mean
        return params | {"decoder": initialize(self.decoder, key_decoder, latents)}

    def losses(
        self, params: PyTree, seeds: Seeds, x: Examples, *, deterministic: bool = False
    ) -> PerExample:
        """Returns the negative bound of each example in nats, at one draw of z from its seed.

        The divergence is in closed form. ``deterministic`` is ignored, as there is no dropout.
        """
        posterior = self.posterior(params, x)
        output = self._decode(params, posterior.draw(seeds.keys))
        log_density = self.output.log_density(params["output"], output, x)
        return self.beta * posterior.divergence() - log_density

    def sample(
        self, params: PyTree, keys: Keys, shape: tuple[int, ...], *, noise: bool = False
    ) -> Samples:
        """Returns one sample of ``shape`` per key: the mean of p(x|z) or, with ``noise``, a draw.

        The draws are the model's samples. Published pictures and distances use the means.
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

    def log_likelihoods(self, params: PyTree, keys: Keys, x: Examples) -> LogLikelihoods:
        """Returns the importance weighted bound of ``log p(x)``, in nats and model coordinates.

        ::

            log p(x) >= E log 1/K sum_k p(x|z_k) N(z_k; 0, 1) / q(z_k|x)

        Burda et al. 2016 (arXiv:1509.00519), eq. 8. Each key draws K latents, which are decoded
        sequentially; ``nfe`` counts decodings. K = 1 gives the training bound. The bound increases
        with K towards ``log p(x)``. The remaining gap is unknown, and so are the standard errors.

        Raises:
          ValueError: if ``output`` is not a density of the data.
        """
        if not self.output.is_density:
            raise ValueError(
                "log likelihoods need an `output` that is a density of the data: got "
                f"{self.output}, which defines a loss only."
            )

        def log_weights(index: Array) -> PerExample:
            own_keys = jax.vmap(lambda key: jax.random.fold_in(key, index))(keys)
            latents, log_ratio = self._draw_weighted(params, own_keys, posterior, x)
            return sum_except_batch(jax.scipy.stats.norm.logpdf(latents)) + log_ratio

        count = self.importance_samples
        with jax.default_matmul_precision("highest"):
            posterior = self.posterior(params, x)
            all_weights = jax.lax.map(log_weights, jnp.arange(count))
        nats = jax.nn.logsumexp(all_weights, axis=0) - math.log(count)
        evaluations = jnp.full(len(x), count, jnp.int32)
        return LogLikelihoods(nats, None, evaluations, jnp.ones(len(x), bool))

    def posterior(self, params: PyTree, x: Examples) -> Posterior:
        """Returns ``q(z|x)``."""
        moments: Any = self.encoder.apply({"params": params["encoder"]}, x)
        return Posterior(*moments)

    def encode(self, params: PyTree, keys: Keys, x: Examples) -> Latents:
        """Draws a latent of each example from ``q(z|x)``."""
        return self.posterior(params, x).draw(keys)

    def encode_weighted(self, params: PyTree, keys: Keys, x: Examples) -> WeightedLatents:
        """Draws a latent of each example from ``q(z|x)``, with its log ratio."""
        return self._draw_weighted(params, keys, self.posterior(params, x), x)

    def decode(self, params: PyTree, latents: Latents) -> Examples:
        """Returns the mean of ``p(x|z)``."""
        return self.output.mean(params["output"], self._decode(params, latents))

    def _draw_weighted(
        self, params: PyTree, keys: Keys, posterior: Posterior, x: Examples
    ) -> WeightedLatents:
        noise = unit_noise(keys, posterior.mean.shape[1:])
        latents = posterior.at(noise)
        output = self._decode(params, latents)
        log_density = self.output.log_density(params["output"], output, x)
        return WeightedLatents(latents, log_density - posterior.log_density(noise))

    def _decode(self, params: PyTree, latents: Latents) -> Examples:
        return jnp.asarray(self.decoder.apply({"params": params["decoder"]}, latents))
