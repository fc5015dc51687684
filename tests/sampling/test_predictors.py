"""Each predictor on a Gaussian, where mean and variance obey an exact recursion: no sampling noise.

The score of a Gaussian is affine, hence a step is ``x' = A x + b + c noise``. Its coefficients are
read off the predictor itself; the law of the whole discretized chain follows.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DEVIATION, MEAN, SDES, each_sde, each_sde_slowly, gaussian, slow_but

from sde_jax.sampling import Ancestral, EulerMaruyama, Langevin, ReverseDiffusion, UniformGrid
from sde_jax.score import MixtureScore
from sde_jax.sde import EulerChain, OrnsteinUhlenbeck, probability_flow_drift, transition

PREDICTORS = [EulerMaruyama(), ReverseDiffusion(), Ancestral()]
FLOW = ReverseDiffusion(probability_flow=True)
each_predictor = pytest.mark.parametrize("predictor", PREDICTORS, ids=lambda p: type(p).__name__)


@functools.partial(jax.jit, static_argnums=(0, 1))
def affine_maps(move, sde, t, s):
    """A, b and c of the move from each of ``t`` to the one of ``s``."""
    score = MixtureScore(gaussian(), sde)

    def step(x, noise, t, s):
        return move(jnp.full((1, 1), noise), score, sde, jnp.full((1, 1), x), t, s).x[0, 0]

    zero, one, noisy = (
        jax.vmap(functools.partial(step, x, noise))(t, s)
        for x, noise in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
    )
    return one - zero, zero, noisy - zero


def marginal(sde, t):
    """Mean and variance of the noised Gaussian."""
    alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
    return alpha * MEAN, (alpha * DEVIATION) ** 2 + sigma**2


def weak_errors(predictor, sde, counts, t_min=None):
    """Errors of mean and deviation at the end, for each number of steps, of chains that start from
    the exact marginal at t = 1."""
    grids = [UniformGrid(steps=steps, t_min=t_min)(sde) for steps in counts]
    t, s = (np.concatenate([grid[part] for grid in grids]) for part in (slice(-1), slice(1, None)))
    maps = np.stack(affine_maps(predictor, sde, t, s), axis=1)
    errors = []
    for chain in np.split(maps, np.cumsum(counts)[:-1]):
        mean, variance = marginal(sde, jnp.asarray(1.0))
        for a, b, c in chain:
            mean, variance = a * mean + b, a**2 * variance + c**2
        exact_mean, exact_variance = marginal(sde, grids[0][-1])
        errors.append([mean - exact_mean, np.sqrt(variance) - np.sqrt(exact_variance)])
    return np.array(errors)


@each_sde_slowly
@each_predictor
def test_the_weak_error_is_of_first_order(predictor, sde):
    """Slope of the log error against the number of steps, wherever it is above 1e-4.

    To t = .05, so that the steps resolve the end: OU's own end, 1e-5, is finer than any step.
    """
    with jax.enable_x64(True):
        counts = [500, 707, 1000, 1414, 2000]
        errors = np.abs(weak_errors(predictor, sde, counts, t_min=0.05))
    assert errors.max() < 0.01
    for name, error in zip(("mean", "deviation"), errors.T, strict=True):
        if error.max() > 1e-4:
            slope = -np.polyfit(np.log(counts), np.log(error), 1)[0]
            assert abs(slope - 1) < 0.05, (name, slope, error)


@each_sde_slowly
def test_the_flow_is_of_first_order_too(sde):
    """Its errors do not decay on the way, as those of noisy steps do, and are larger."""
    with jax.enable_x64(True):
        errors = np.abs(weak_errors(FLOW, sde, [4000, 8000], t_min=0.05))
    assert errors[1].max() < 0.01
    np.testing.assert_allclose(errors[0, 1] / errors[1, 1], 2, atol=0.05)


EACH = [pytest.param(*pair, marks=pytest.mark.slow) for pair in itertools.product(PREDICTORS, SDES)]
DIAGONAL = [
    (EulerMaruyama(), "subvp"),
    (ReverseDiffusion(), "cosine"),
    (Ancestral(), "ou"),
]
each_pair_slowly = pytest.mark.parametrize(
    ("predictor", "name"),
    DIAGONAL + [pair for pair in EACH if pair.values not in DIAGONAL],
    ids=str,
)


@each_pair_slowly
def test_the_weak_error_at_five_hundred_steps_is_small(predictor, name):
    """Below .02 of a deviation of .4; the ancestral step of OU ends on a step from .1 to .01."""
    sde = SDES[name]
    with jax.enable_x64(True):
        errors = weak_errors(predictor, sde, [500])
    ends_coarse = isinstance(predictor, Ancestral) and sde == OrnsteinUhlenbeck()
    assert np.abs(errors).max() < (0.05 if ends_coarse else 0.02), errors


@each_pair_slowly
def test_the_mean_is_the_step_without_noise(predictor, name):
    sde = SDES[name]
    score, x = MixtureScore(gaussian(2), sde), np.float32([[0.3, -1.0]])
    move = jax.jit(
        lambda noise: predictor(noise, score, sde, x, jnp.float32(0.6), jnp.float32(0.55))
    )
    noisy, still = move(np.ones((1, 2), np.float32)), move(np.zeros((1, 2), np.float32))
    np.testing.assert_array_equal(still.x, still.mean)
    np.testing.assert_array_equal(noisy.mean, still.mean)
    assert (np.asarray(noisy.x) > noisy.mean).all()


@each_sde_slowly
def test_an_ancestral_step_is_exact_for_a_point_mass(sde):
    """With x_0 known, the posterior of x_s is that of the bridge, whatever the step."""
    with jax.enable_x64(True):
        t, s, target, x = 0.9, 0.2, 0.7, 1.3

        def score(x, t):
            return (sde.alpha(t) * target - x) / sde.sigma(t) ** 2

        step = jax.jit(
            lambda x, t, s: Ancestral()(jnp.ones((1, 1)), score, sde, jnp.full((1, 1), x), t, s)
        )(x, t, s)
        coefficients = jax.jit(lambda t: (sde.alpha(t), sde.sigma(t)))
        (alpha_s, sigma_s), (alpha_t, sigma_t) = (map(float, coefficients(u)) for u in (s, t))
    # Joint of (x_s, x_t) given x_0: x_t = c x_s + noise; condition by the covariance matrix.
    covariance = alpha_t / alpha_s * sigma_s**2
    mean = alpha_s * target + covariance / sigma_t**2 * (x - alpha_t * target)
    variance = sigma_s**2 - covariance**2 / sigma_t**2
    np.testing.assert_allclose(step.mean, [[mean]], rtol=1e-9)
    spread = np.asarray(step.x) - np.asarray(step.mean)
    np.testing.assert_allclose(spread**2, [[variance]], rtol=1e-7)


@each_sde
@each_predictor
def test_a_predictor_counts_its_evaluations(predictor, sde):
    calls = []

    def score(x, t):
        calls.append(t)
        return -x

    one, t, s = jnp.ones((1, 1)), jnp.asarray(0.5), jnp.asarray(0.4)
    jax.eval_shape(lambda x: predictor(x, score, sde, x, t, s), one)
    assert len(calls) == predictor.evaluations


@each_sde_slowly
def test_euler_maruyama_follows_the_flow_too(sde):
    """With the published step 1 / N: Euler's step of the ODE, without noise."""
    rng = np.random.default_rng(0)
    x, noise = (jnp.asarray(array, jnp.float32) for array in rng.normal(size=(2, 2, 3)))
    score, t, s = MixtureScore(gaussian(3), sde), jnp.asarray(0.6), jnp.asarray(0.0)
    move = ReverseDiffusion(transition=EulerChain(steps=100), probability_flow=True)
    step = move(noise, score, sde, x, t, s)
    expected = x - probability_flow_drift(sde, x, t, score(x, t)) / 100
    np.testing.assert_allclose(step.x, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(step.x, step.mean)


@each_sde_slowly
def test_euler_maruyama_steps_as_far_as_its_grid(sde):
    """Where the published step is the grid's, it is the published move; elsewhere it is not."""
    rng = np.random.default_rng(0)
    x, noise = (jnp.asarray(array, jnp.float32) for array in rng.normal(size=(2, 2, 3)))
    score, t = MixtureScore(gaussian(3), sde), jnp.asarray(0.6)
    published = ReverseDiffusion(transition=EulerChain(steps=100))
    for s, same in [(t - 0.01, True), (t - 0.02, False)]:
        ours = EulerMaruyama()(noise, score, sde, x, t, s)
        theirs = published(noise, score, sde, x, t, s)
        for one, other in zip(ours, theirs, strict=True):
            assert np.allclose(one, other, rtol=1e-4, atol=1e-4) == same


@each_sde_slowly
def test_ancestral_noise_is_of_the_posterior_or_of_the_transition(sde):
    score, x = MixtureScore(gaussian(2), sde), jnp.asarray([[0.3, -1.0]])
    t, s = jnp.asarray(0.6), jnp.asarray(0.5)
    expected = transition(sde, s, t)
    for name, variance in [("posterior", expected.posterior_variance), ("beta", expected.variance)]:
        step = Ancestral(variance=name)(jnp.ones((1, 2)), score, sde, x, t, s)
        # of a state of hundreds, for VE
        np.testing.assert_allclose(step.x - step.mean, np.sqrt(variance), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", slow_but("vp"))
@pytest.mark.parametrize("move", [*PREDICTORS, FLOW, Langevin()], ids=str)
def test_each_state_may_have_a_time_of_its_own(move, name):
    rng = np.random.default_rng(0)
    x, noise = (jnp.asarray(array, jnp.float32) for array in rng.normal(size=(2, 2, 3, 3, 1)))
    t, s = jnp.asarray([0.9, 0.3]), jnp.asarray([0.8, 0.29])

    def score(x, t):
        return -x

    @jax.jit
    def together_and_alone(noise, x, t, s):
        alone = [
            move(noise[j : j + 1], score, SDES[name], x[j : j + 1], t[j], s[j]) for j in range(2)
        ]
        return move(noise, score, SDES[name], x, t, s), jax.tree.map(
            lambda *one: jnp.concatenate(one), *alone
        )

    for one, other in zip(*together_and_alone(noise, x, t, s), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5)


def test_an_unknown_variance_is_refused():
    with pytest.raises(ValueError, match=r"^`variance` must be one of posterior, beta: got "):
        Ancestral(variance="alpha")
