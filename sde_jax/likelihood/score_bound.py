"""Bounds of log densities under the reverse-time SDE, by the denoising loss."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.arrays import (
    Array,
    Examples,
    Keys,
    PerExample,
    as_examples,
    expand_like,
    sum_except_batch,
)
from sde_jax.likelihood.adaptive import LogLikelihoods
from sde_jax.likelihood.dequantization import Draws
from sde_jax.likelihood.variational_bound import Decoder, GaussianDensity
from sde_jax.randomness import each_key, unit_noise
from sde_jax.score import Score
from sde_jax.sde import LinearSDE
from sde_jax.validation import AboveZero, Spec


@dataclass(frozen=True, kw_only=True)
class ScoreBound(Spec):
    """Bounds log densities under the reverse-time SDE (Song et al. 2021b, arXiv:2101.09258, thm 3).

    With ``noise' = -sigma score``, r = sigma / alpha and D dimensions::

        log p(x) >= E log N(x(1); 0, prior_scale^2) + D log(sigma(1) / sigma(t_min))
                    - E integral over log r of |noise' - noise|^2
                    + D (1 + log(2 pi sigma(t_min)^2)) / 2 + E log p(x | x(t_min))

    The expectations are over noise; log r is uniform from t_min to 1, which are the importance
    times of `LikelihoodTimes`. The first term is exact. The last is the decoder's at the posterior
    mean with deviation r(t_min), from one draw of its own. The theorem's divergence of the drift
    and squared conditional score are integrated exactly. All of it runs at the highest matmul
    precision and in the type of the examples.

    Raises:
      ValueError: when called, unless the examples are floating-point numbers with a key for each.
    """

    t_min: AboveZero = 1e-5
    """Where the integral starts."""
    draws: Draws = 100
    """Draws of time and noise for each example, an evaluation each; one per equal part of log r.
    They do not tighten the bound but lower its variance."""
    decoder: Decoder = GaussianDensity()
    """`GaussianDensity` for continuous data, `DiscretizedGaussian` for grey levels."""

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, x: Examples) -> LogLikelihoods:
        """Returns bounds for ``x``, in model coordinates; ``keys`` draw times and noise."""
        x = as_examples("x", x)
        keys = each_key(keys, len(x))
        dimensions = math.prod(x.shape[1:])
        ends = jnp.asarray([self.t_min, 1.0], x.dtype)
        last_alpha, (sigma, last_sigma) = sde.alpha(ends)[1], sde.sigma(ends)
        ratio, last_ratio = sde.noise_to_signal(ends)
        length = jnp.log(last_ratio / ratio)

        def draw(index: Array) -> PerExample:
            own = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, index)))(keys)
            u = jax.vmap(lambda key: jax.random.uniform(key, (), x.dtype))(own[:, 0])
            level = ratio * jnp.exp(length * (index + u) / self.draws)
            times = jnp.clip(sde.time_of(level), ends[0], 1.0)
            return length * _denoise(own[:, 1], score, sde, x, times)[1]

        with jax.default_matmul_precision("highest"):
            integrals = jax.lax.map(draw, jnp.arange(self.draws))
            last = jax.vmap(jax.random.fold_in, (0, None))(keys, self.draws)
            mean, _ = _denoise(last, score, sde, x, jnp.full(len(x), ends[0]))

        squares = last_alpha**2 * sum_except_batch(x**2) + dimensions * last_sigma**2
        prior = -0.5 * squares / sde.prior_scale**2
        prior -= 0.5 * dimensions * math.log(2 * math.pi * sde.prior_scale**2)
        entropy = 0.5 * dimensions * (1 + jnp.log(2 * math.pi * sigma**2))
        decoder = sum_except_batch(self.decoder(x, mean, ratio))
        volume = dimensions * jnp.log(last_sigma / sigma)
        nats = prior + volume - integrals.mean(axis=0) + entropy + decoder
        stderr = None
        if self.draws > 1:
            # Neighbours differ by their trend, too, so that this exceeds the error a little.
            steps = (jnp.diff(integrals, axis=0) ** 2).mean(axis=0)
            stderr = jnp.sqrt(steps / (2 * self.draws))
        nfe = jnp.full(len(x), self.draws + 1)
        return LogLikelihoods(nats, None, nfe, jnp.isfinite(nats), stderr)


def _denoise(
    keys: Keys, score: Score, sde: LinearSDE, x: Examples, t: PerExample
) -> tuple[Examples, PerExample]:
    """Returns the posterior mean of ``x`` with noise at ``t``, and the noise's squared error."""
    noise = unit_noise(keys, x.shape[1:], x.dtype)
    alpha, sigma = expand_like(sde.alpha(t), x), expand_like(sde.sigma(t), x)
    error = -sigma * score(alpha * x + sigma * noise, t).astype(x.dtype) - noise
    return x - sigma / alpha * error, sum_except_batch(error**2)
