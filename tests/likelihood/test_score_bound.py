"""The bound of the reverse-time SDE against its theorem, by quadrature in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from cases import DEVIATION, MEAN, SDES, gaussian, keys

from sde_jax.likelihood import DiscretizedGaussian, ScoreBound
from sde_jax.score import MixtureScore

T_MIN = 1e-3
NODES, SHARES = np.polynomial.hermite_e.hermegauss(40)
SHARES = SHARES / SHARES.sum()


def theorem(sde, x, slope, offset):
    """The right-hand side for a score ``slope(t) x + offset(t)`` and one value, as published.

    The integrals over time run on Gauss-Legendre nodes in log time, those over noise on Hermite's.
    """
    with jax.enable_x64(True):
        points, widths = np.polynomial.legendre.leggauss(400)
        length = -math.log(T_MIN) / 2
        t = np.exp(length * (points + 1) + math.log(T_MIN))

        def of_time(f, at=t):
            return np.asarray(f(jnp.asarray(at, jnp.float64)))

        alpha, sigma = of_time(sde.alpha)[:, None], of_time(sde.sigma)[:, None]
        xt = alpha * x + sigma * NODES
        score = of_time(slope)[:, None] * xt + of_time(offset)[:, None]
        conditional = -NODES / sigma
        squares = of_time(sde.diffusion_squared)[:, None] * (
            (score - conditional) ** 2 - conditional**2
        )
        integrand = squares @ SHARES - 2 * of_time(sde.drift_rate)
        loss = 0.5 * (integrand * widths * t).sum() * length
        ends = np.asarray([T_MIN, 1.0])
        (alpha, last_alpha), (sigma, last_sigma) = (
            of_time(sde.alpha, ends),
            of_time(sde.sigma, ends),
        )
        scale = sde.prior_scale
        prior = -0.5 * (last_alpha**2 * x**2 + last_sigma**2) / scale**2
        prior -= 0.5 * math.log(2 * math.pi * scale**2)
        z = alpha * x + sigma * NODES
        score = of_time(slope, ends)[0] * z + of_time(offset, ends)[0]
        mean, deviation = (z + sigma**2 * score) / alpha, sigma / alpha
        decoder = -0.5 * ((x - mean) / deviation) ** 2 - math.log(
            deviation * math.sqrt(2 * math.pi)
        )
        entropy = 0.5 * (1 + math.log(2 * math.pi * sigma**2))
        return prior - loss + entropy + decoder @ SHARES


def line(sde, shift=0.0):
    """Slope and offset of the Gaussian's score, with an error of ``shift`` in its mean."""

    def variance(t):
        return (sde.alpha(t) * DEVIATION) ** 2 + sde.sigma(t) ** 2

    return lambda t: -1 / variance(t), lambda t: sde.alpha(t) * (MEAN + shift) / variance(t)


@pytest.mark.parametrize(
    "name", ["vp", *[pytest.param(n, marks=pytest.mark.slow) for n in ("ve", "subvp", "ou")]]
)
def test_its_expectation_is_that_of_the_theorem(name, key):
    """Within 5 standard errors, which draws and repetitions agree on, for a score with an error."""
    sde, x, count = SDES[name], 0.3, 2000
    slope, offset = line(sde, shift=0.2)

    def score(x, t):
        column = (-1, 1)
        return slope(t).reshape(column) * x + offset(t).reshape(column)

    bound = ScoreBound(t_min=T_MIN, draws=20)
    measured = jax.jit(lambda keys, x: bound(keys, score, sde, x))(
        keys(key, count), jnp.full((count, 1), x)
    )
    nats = np.float64(measured.nats)
    spread = nats.std(ddof=1)
    assert abs(nats.mean() - theorem(sde, x, slope, offset)) < 5 * spread / math.sqrt(count)
    claimed = math.sqrt(np.mean(np.float64(measured.draw_stderr) ** 2))
    assert claimed == pytest.approx(spread, rel=0.5)
    np.testing.assert_array_equal(measured.nfe, 21)


def test_it_is_the_theorem_at_its_own_draws(key):
    """Of each draw the published integrand over the density of its time, in numpy, to 1e-4."""
    sde, x, draws, seen = SDES["subvp"], np.array([[0.3, -1.1], [0.8, 0.2]]), 5, []
    slope, offset = line(sde, shift=0.2)

    def score(xt, t):
        seen.append((np.asarray(xt), np.asarray(t)))
        return slope(t)[:, None] * xt + offset(t)[:, None]

    with jax.enable_x64(True), jax.disable_jit():
        bound = ScoreBound(t_min=T_MIN, draws=draws)
        nats = np.asarray(bound(keys(key, len(x)), score, sde, jnp.asarray(x)).nats)

        def of_time(f, t):
            return np.asarray(f(jnp.asarray(t, jnp.float64)))[..., None]

        total = np.zeros(len(x))
        ends = np.array([T_MIN, 1.0])
        alphas, sigmas = of_time(sde.alpha, ends)[:, 0], of_time(sde.sigma, ends)[:, 0]
        length = np.diff(np.log(sigmas / alphas))[0]
        for xt, t in seen[:draws]:
            alpha, sigma, squared = (
                of_time(f, t) for f in (sde.alpha, sde.sigma, sde.diffusion_squared)
            )
            own = of_time(slope, t) * xt + of_time(offset, t)
            errors = own + (xt - alpha * x) / sigma**2
            density = squared / (2 * sigma**2) / length
            total += (0.5 * squared * errors**2 / density).sum(axis=1) / draws
        z, t = seen[draws]
        own = of_time(slope, t) * z + of_time(offset, t)
    mean, deviation = (z + sigmas[0] ** 2 * own) / alphas[0], sigmas[0] / alphas[0]
    decoder = scipy.stats.norm(mean, deviation).logpdf(x).sum(axis=1)
    prior = -0.5 * (alphas[1] ** 2 * x**2 + sigmas[1] ** 2) / sde.prior_scale**2
    prior -= 0.5 * math.log(2 * math.pi * sde.prior_scale**2)
    entropy = 2 * scipy.stats.norm(0, sigmas[0]).entropy()
    volume = 2 * (length + math.log(alphas[1] / alphas[0]))
    expected = prior.sum(axis=1) - total + volume + entropy + decoder
    assert len(seen) == draws + 1
    np.testing.assert_allclose(nats, expected, atol=1e-4)


def test_it_is_tight_for_an_exact_score(key):
    """Its mean over the Gaussian is minus the entropy, but for what t_min and the prior leave."""
    sde, count = SDES["vp"], 4000
    x = MEAN + DEVIATION * jax.random.normal(key, (count, 1))
    score = MixtureScore(gaussian(), sde)
    nats = np.float64(ScoreBound(t_min=T_MIN, draws=30)(keys(key, count), score, sde, x).nats)
    entropy = 0.5 * math.log(2 * math.pi * math.e * DEVIATION**2)
    assert abs(nats.mean() + entropy) < 5 * nats.std() / math.sqrt(count) + 2e-3


def test_probabilities_of_grey_levels_are_bounded(key):
    """For the exact score of two levels with probabilities .3 and .7, tightly."""
    sde, probabilities, levels = SDES["vp"], np.array([0.3, 0.7]), jnp.asarray([-1.0, 1.0])
    log_odds = math.log(0.7 / 0.3)

    def score(x, t):
        alpha, sigma = sde.alpha(t).reshape(-1, 1), sde.sigma(t).reshape(-1, 1)
        clean = jnp.tanh(alpha * x / sigma**2 + log_odds / 2)
        return (alpha * clean - x) / sigma**2

    bound = ScoreBound(t_min=1e-2, draws=30, decoder=DiscretizedGaussian(levels=2))
    for level, probability in zip(levels, probabilities, strict=True):
        x = jnp.full((2000, 1), level)
        nats = np.float64(bound(keys(key, 2000), score, sde, x).nats)
        stderr = nats.std() / math.sqrt(2000)
        assert -0.01 - 5 * stderr < nats.mean() - math.log(probability) < 5 * stderr + 1e-4
