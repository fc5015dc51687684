"""Score models of the latents of an autoencoder."""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import Examples, Keys, PerExample, PRNGKeyArray, PyTree
from sde_jax.baselines.autoencoder import Latents
from sde_jax.baselines.vae import WeightedLatents
from sde_jax.likelihood import Likelihood, LogLikelihoods
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.randomness import Seeds
from sde_jax.sampling import Sampler, Samples
from sde_jax.score import NetworkScore


class Autoencoder(Protocol):
    """Maps between examples and latents; a frozen spec, such as a `VAE`."""

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Returns initial parameters for examples of ``shape``."""

    def losses(
        self, params: PyTree, seeds: Seeds, x: Examples, *, deterministic: bool
    ) -> PerExample:
        """Returns the loss of each example."""

    def encode(self, params: PyTree, keys: Keys, x: Examples) -> Latents:
        """Draws a latent of each example from its own key."""

    def encode_weighted(self, params: PyTree, keys: Keys, x: Examples) -> WeightedLatents:
        """Draws a latent of each example from its own key, with its log ratio."""

    def decode(self, params: PyTree, latents: Latents) -> Examples:
        """Returns the example of each latent."""


@dataclass(frozen=True, kw_only=True)
class LatentDiffusion:
    """A score model of the latents of an autoencoder.

    Rombach et al. 2022 (arXiv:2112.10752), with joint training. The loss is the autoencoder's loss
    plus the denoising loss of a latent drawn from ``q(z|x)``. The gradient of the denoising loss
    stops at the latent, so the autoencoder trains as it would alone and the score follows it. The
    two have separate parameters: with Adam, the relative scale of their losses affects gradient
    clipping only.

    Latents are not rescaled. A `VAE` with beta 1 keeps them near N(0, 1), as networks and variance
    preserving processes expect. A much smaller beta lets them grow. Then set the score model's
    ``data_deviation``, or use a process whose largest noise exceeds the latents.
    """

    autoencoder: Autoencoder
    objective: DenoisingScoreMatching
    """Loss of the score model, whose network takes latents."""

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Returns initial parameters of autoencoder and score for examples of ``shape``."""
        key_autoencoder, key_score = jax.random.split(key)
        params = {"autoencoder": self.autoencoder.init(key_autoencoder, shape)}
        score = self.objective.model.init(key_score, self._latent_shape(params, shape))
        return params | {"score": score}

    def losses(
        self, params: PyTree, seeds: Seeds, x: Examples, *, deterministic: bool = False
    ) -> PerExample:
        """Returns the sum of the autoencoder's loss and the denoising loss of each example.

        See `DenoisingScoreMatching.losses` for the arguments.
        """
        seeds_autoencoder, seeds_latent, seeds_score = seeds.split(3)
        autoencoder = self.autoencoder.losses(
            params["autoencoder"], seeds_autoencoder, x, deterministic=deterministic
        )
        latents = self.autoencoder.encode(params["autoencoder"], seeds_latent.keys, x)
        latents = jax.lax.stop_gradient(latents)
        score = self.objective.losses(
            params["score"], seeds_score, latents, deterministic=deterministic
        )
        return autoencoder + score

    def sample(
        self, params: PyTree, keys: Keys, shape: tuple[int, ...], sampler: Sampler
    ) -> Samples:
        """Draws one latent for each key by ``sampler`` and decodes it to ``shape``.

        ``nfe``, ``converged`` and the trajectory are those of the latents.
        """
        latent_shape = self._latent_shape(params, shape)
        samples = sampler(keys, self.score(params), self.objective.model.sde, latent_shape)
        return samples._replace(x=self.autoencoder.decode(params["autoencoder"], samples.x))

    def log_likelihoods(
        self, params: PyTree, keys: Keys, x: Examples, likelihood: Likelihood
    ) -> LogLikelihoods:
        """Returns a lower bound of ``log p(x)`` at one draw of z, in nats and model coordinates.

        ::

            log p(x) >= E_q(z|x) log p(x|z) + log p_score(z) - log q(z|x)

        Vahdat et al. 2021 (arXiv:2106.05931), eq. 2, with the log density of the probability flow.
        The result for one example is an estimate of the bound. Its ``probe_stderr`` covers the
        random probes but not the draw of z.
        """
        key_latent, key_probe = jax.vmap(jax.random.split, out_axes=1)(keys)
        with jax.default_matmul_precision("highest"):
            latents, log_ratio = self.autoencoder.encode_weighted(
                params["autoencoder"], key_latent, x
            )
        prior = likelihood(key_probe, self.score(params), self.objective.model.sde, latents)
        return prior._replace(nats=prior.nats + log_ratio)

    def score(self, params: PyTree) -> NetworkScore:
        """Returns the score of the latents."""
        return NetworkScore(params["score"], self.objective.model)

    def _latent_shape(self, params: PyTree, shape: tuple[int, ...]) -> tuple[int, ...]:
        example = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        encode, keys = self.autoencoder.encode, jax.random.key(0)[None]
        return jax.eval_shape(encode, params["autoencoder"], keys, example).shape[1:]
