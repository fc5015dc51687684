"""Adaptive solution of the reverse-time SDE by diffrax, with a step size per sample."""

from dataclasses import dataclass
from typing import Any, Literal

import diffrax
import jax
import jax.numpy as jnp
import lineax

from sde_jax.arrays import Array, Bool, Float, Int, Keys, PRNGKeyArray, precision_of
from sde_jax.ode import StepSize, reverse_mode_only
from sde_jax.randomness import draw_prior, split_keys
from sde_jax.sampling.brownian import BrownianTree
from sde_jax.sampling.protocol import AdaptiveSampler, Samples
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE
from sde_jax.validation import Positive, Steps

StochasticMethod = Literal["shark", "sra1", "heun"]
"""Stochastic Runge-Kutta methods of diffrax: ShARK, SRA1 and Heun."""

# First and smallest step, as fractions of the interval in log noise; smaller steps fail the solve.
_FIRST_STEP = 0.01
_SMALLEST_STEP = 1e-5
# Jolicoeur-Martineau et al. 2021 scale the step by .9 (tolerance / error)^.9.
_HEUN_EXPONENT = 0.9


@dataclass(frozen=True, kw_only=True)
class AdaptiveReversal(AdaptiveSampler):
    """Integrates the reverse-time SDE (Song et al. 2021, eq. 6) adaptively.

    In ``y = x / alpha``, ``r = sigma / alpha`` and ``l = -log r`` every linear SDE becomes

    ::

        dy = 2 (D - y) dl + sqrt(2) r dw

    with D the posterior mean; its noise is additive. A rejected step is repeated along the same
    Brownian path. Sample j depends on ``keys[j]`` and ``frames`` only; neither its value nor its
    cost depends on other samples.
    """

    method: StochasticMethod = "shark"
    """shark and sra1 have strong order 1.5 for additive noise (Foster et al. 2023, eq. 6.1; Rossler
    2010). heun has strong order 1: Euler-Maruyama inside Heun's method with the step size rule of
    Jolicoeur-Martineau et al. 2021 (arXiv:2105.14080). All take two evaluations per step."""
    rtol: Positive = 0.01
    """Relative tolerance per step."""
    atol: Positive = 0.0078
    """Absolute tolerance per step; the default is one of 256 grey levels in [-1, 1]."""
    max_steps: Steps = 4096
    """Maximum number of steps, rejected ones included; a solve that needs more fails."""

    @reverse_mode_only()
    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]) -> Samples:
        key_prior, key_noise = split_keys(keys)
        prior = draw_prior(key_prior, sde, shape, precision_of(score))
        times = self.times(sde, prior.dtype)
        logs = -jnp.log(sde.noise_to_signal(times))
        ends = jnp.arange(times.size - 1), logs[:-1], logs[1:]

        def one(key: PRNGKeyArray, x: Array) -> tuple[Array, Array, Array]:
            def leg(y: Array, ends: tuple[Array, Array, Array]) -> tuple[Array, tuple]:
                count, begin, end = ends
                solved = self._solve(score, sde, jax.random.fold_in(key, count), y, begin, end)
                return solved[0], solved

            _, (states, steps, succeeded) = jax.lax.scan(leg, x / sde.alpha(times[0]), ends)
            return states, steps.sum(), succeeded.all()

        states, steps, converged = jax.vmap(one)(key_noise, prior)
        alphas = sde.alpha(times[1:]).reshape(-1, *[1] * len(shape))
        states = jnp.concatenate([prior[:, None], alphas[None] * states], axis=1)
        return self.finish(score, sde, states, 2 * steps, converged)

    def _solve(
        self, score: Score, sde: LinearSDE, key: PRNGKeyArray, y: Array, begin: Array, end: Array
    ) -> tuple[Float[Array, "*shape"], Int[Array, ""], Bool[Array, ""]]:
        """Returns one example's state at ``l = end``, its number of steps, and whether it arrived.

        The solver's time runs from 0 to 1. Its times are constants and failures are returned rather
        than raised, since host callbacks cannot be lowered for TPUs.
        """
        way = end - begin

        def drift(u: Any, y: Array, _: None) -> Array:
            t = sde.time_of(jnp.exp(-(begin + way * u)))
            return 2 * way * (denoised(score, sde, sde.alpha(t) * y[None], t)[0] - y)

        def diffusion(u: Any, y: Array, _: None) -> lineax.DiagonalLinearOperator:
            size = jnp.sqrt(2 * way) * jnp.exp(-(begin + way * u))
            return lineax.DiagonalLinearOperator(jnp.full_like(y, size))

        path = BrownianTree(y.shape, key, tol=_SMALLEST_STEP / 2, dtype=y.dtype)
        solution = diffrax.diffeqsolve(
            diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, path)),
            {"shark": diffrax.ShARK, "sra1": diffrax.SRA1, "heun": diffrax.Heun}[self.method](),
            *jnp.asarray([0.0, 1.0], y.dtype),
            dt0=None,
            y0=y,
            stepsize_controller=StepSize(
                rtol=self.rtol,
                atol=self.atol,
                icoeff=_HEUN_EXPONENT if self.method == "heun" else 1.0,
                dtmin=_SMALLEST_STEP,
                force_dtmin=False,
                first_step=jnp.asarray(_FIRST_STEP, y.dtype),
            ),
            max_steps=self.max_steps,
            throw=False,
        )
        assert solution.ys is not None
        state = solution.ys[0]
        succeeded = (solution.result == diffrax.RESULTS.successful) & jnp.isfinite(state).all()
        return state, solution.stats["num_steps"], succeeded
