"""Score models of the latents of an autoencoder."""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Key, PRNGKeyArray, PyTree
from sde_jax.baselines.vae import Weighed
from sde_jax.likelihood import Likelihood, LogLikelihoods
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.randomness import Seeds
from sde_jax.sampling import Sampler, Samples
from sde_jax.score import NetworkScore

__all__ = ["Autoencoder", "LatentDiffusion"]


class Autoencoder(Protocol):
    """What makes latents of examples and examples of latents; a frozen spec, such as a `VAE`."""

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Initial parameters, for examples of ``shape``."""

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Float[Array, "batch *shape"],
        *,
        deterministic: bool,
    ) -> Float[Array, "batch"]:
        """Returns the loss of each example."""

    def encode(
        self, params: PyTree, keys: Key[Array, "batch"], x: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch *latent"]:
        """Draws a latent of each example, from its own key."""

    def weigh(
        self, params: PyTree, keys: Key[Array, "batch"], x: Float[Array, "batch *shape"]
    ) -> Weighed:
        """A latent of each example, from its own key, and what it says of the data."""

    def decode(
        self, params: PyTree, latents: Float[Array, "batch *latent"]
    ) -> Float[Array, "batch *shape"]:
        """The example that each latent stands for."""


@dataclass(frozen=True, kw_only=True)
class LatentDiffusion:
    """A score model of latents, and the autoencoder that makes examples of them.

    Rombach et al. 2022 (arXiv:2112.10752), with both trained at once: the loss is the autoencoder's
    and, of a latent drawn from ``q(z|x)``, the denoising loss, whose gradient ends at the latent.
    The autoencoder becomes what it would be alone and the score follows it, as in two stages. Each
    has parameters of its own, so that with Adam the scales of the two losses meet in clipping
    alone.

    The score is told nothing of the latents' scale. A `VAE` of beta 1 draws their distribution
    towards N(0, 1), hence near unit size, which networks expect and from which variance preserving
    processes end where they should. With a beta much smaller they grow: give the score model their
    ``data_deviation`` then, or a process whose largest noise exceeds it.
    """

    autoencoder: Autoencoder
    objective: DenoisingScoreMatching
    """Of a model whose network takes latents."""

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Initial parameters, for examples of ``shape``: autoencoder and score."""
        key_autoencoder, key_score = jax.random.split(key)
        params = {"autoencoder": self.autoencoder.init(key_autoencoder, shape)}
        score = self.objective.model.init(key_score, self._latent_shape(params, shape))
        return params | {"score": score}

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Float[Array, "batch *shape"],
        *,
        deterministic: bool = False,
    ) -> Float[Array, "batch"]:
        """Returns the loss of autoencoder and score of each example, at noise of its own.

        Args:
          params: those of `init`.
          seeds: split in three: for the autoencoder's losses, the latents, the denoising losses.
          x: examples, in model coordinates.
          deterministic: turns dropout off.
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
        self,
        params: PyTree,
        keys: Key[Array, "batch"],
        shape: tuple[int, ...],
        sampler: Sampler,
    ) -> Samples:
        """One sample of ``shape`` for each key: what a latent that ``sampler`` draws stands for.

        ``nfe`` and ``converged`` are the sampler's, and so is a trajectory, which is of latents.
        """
        latent_shape = self._latent_shape(params, shape)
        samples = sampler(keys, self.score(params), self.objective.model.sde, latent_shape)
        return samples._replace(x=self.autoencoder.decode(params["autoencoder"], samples.x))

    def log_likelihoods(
        self,
        params: PyTree,
        keys: Key[Array, "batch"],
        x: Float[Array, "batch *shape"],
        likelihood: Likelihood,
    ) -> LogLikelihoods:
        """A bound of ``log p(x)`` from below, in nats and model coordinates, at one draw of z.

        ::

            log p(x) >= E_q(z|x) log p(x|z) + log p_score(z) - log q(z|x)

        Vahdat et al. 2021 (arXiv:2106.05931), eq. 2, with the log density of the probability flow.
        Of one example it is an estimate of the bound, whose ``probe_stderr`` tells of the probes
        and not of the draw.
        """
        key_latent, key_probe = jax.vmap(jax.random.split, out_axes=1)(keys)
        with jax.default_matmul_precision("highest"):
            weighed = self.autoencoder.weigh(params["autoencoder"], key_latent, x)
        sde = self.objective.model.sde
        prior = likelihood(key_probe, self.score(params), sde, weighed.latents)
        return prior._replace(nats=prior.nats + weighed.log_ratio)

    def score(self, params: PyTree) -> NetworkScore:
        """The score of the latents."""
        return NetworkScore(params["score"], self.objective.model)

    def _latent_shape(self, params: PyTree, shape: tuple[int, ...]) -> tuple[int, ...]:
        example = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        encode, keys = self.autoencoder.encode, jax.random.key(0)[None]
        return jax.eval_shape(encode, params["autoencoder"], keys, example).shape[1:]
