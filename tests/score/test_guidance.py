"""Guided scores: Bayes' rule on exact scores, closed forms of each method, and what it costs."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import posteriors
import pytest
from cases import (
    SDES,
    each_sde_slowly,
    gaussian,
    keys,
    plane_mixture,
    plane_mixture_arrays,
    slow_but,
)

from sde_jax.ode import AdaptiveSolver
from sde_jax.operators import Mask, Matrix
from sde_jax.sampling import (
    AdaptiveReversal,
    Ancestral,
    EulerMaruyama,
    ExponentialAdams,
    LogSNRGrid,
    PredictorCorrector,
    ProbabilityFlow,
    UniformGrid,
)
from sde_jax.score import (
    DDNM,
    DPS,
    ClassifierFreeGuidance,
    GaussianMixture,
    LikelihoodGuidance,
    MixtureScore,
    PiGDM,
    denoised,
)
from sde_jax.sde import VP, DDPMChain

TIMES = (0.05, 0.3, 0.8)
SEEN = np.array([[0.8, -0.5]])
NOISE = 0.2


def points(key, count=64):
    return 1.5 * jax.random.normal(key, (count, 2))


@jax.jit
def value(score, x, t):
    return score(x, t)


def component(mixture, index):
    one = jax.tree.map(lambda leaf: leaf[index : index + 1], mixture)
    return dataclasses.replace(one, weights=jnp.ones(1))


def log_class(mixture, sde, index):
    """The exact ``log p(component | x_t)``."""

    def log_probability(x, t):
        within = component(mixture, index).log_density(sde, x, t)
        return jnp.log(mixture.weights[index]) + within - mixture.log_density(sde, x, t)

    return jax.tree_util.Partial(log_probability)


def relative(found, expected):
    return np.abs(np.asarray(found) - expected).max() / np.abs(np.asarray(expected)).max()


@each_sde_slowly
def test_class_guidance_is_the_exact_score_of_the_class(sde, key):
    mixture, x = plane_mixture(), points(key)
    for index in (0, 1):
        guided = LikelihoodGuidance(
            score=MixtureScore(mixture, sde), log_likelihood=log_class(mixture, sde, index)
        )
        of_class = MixtureScore(component(mixture, index), sde)
        for t in TIMES:
            assert relative(value(guided, x, t), value(of_class, x, t)) < 1e-4


@each_sde_slowly
def test_classifier_free_guidance_is_the_score_of_a_power_of_the_class(sde, key):
    """Of ``p(x | c)^(1 + w) / p(x)^w`` at each t, by the gradient of its logarithm."""
    mixture, x, weight, t = plane_mixture(), points(key), 1.7, jnp.asarray(0.3)
    given = component(mixture, 1)

    def log_power(x):
        logs = given.log_density(sde, x, t), mixture.log_density(sde, x, t)
        return ((1 + weight) * logs[0] - weight * logs[1]).sum()

    guided = ClassifierFreeGuidance(
        conditional=MixtureScore(given, sde),
        unconditional=MixtureScore(mixture, sde),
        weight=jnp.asarray(weight),
    )
    assert relative(value(guided, x, t), jax.jit(jax.grad(log_power))(x)) < 1e-4


def test_guidance_is_plain_at_weight_zero_and_outside_of_its_interval(key):
    sde, mixture, x = VP(), plane_mixture(), points(key)
    given = MixtureScore(component(mixture, 1), sde)
    scores = {"conditional": given, "unconditional": MixtureScore(mixture, sde)}
    zero = ClassifierFreeGuidance(**scores, weight=jnp.zeros(()))
    some = ClassifierFreeGuidance(**scores, weight=jnp.asarray(2.0), low=0.2, high=0.6)
    always = ClassifierFreeGuidance(**scores, weight=jnp.asarray(2.0))
    for t in map(np.float32, (0.1, 0.2, 0.4, 0.7)):
        np.testing.assert_array_equal(value(zero, x, t), value(given, x, t))
        expected = always if np.float32(0.2) <= t <= np.float32(0.6) else given
        np.testing.assert_array_equal(value(some, x, t), value(expected, x, t))
    each = np.linspace(0.1, 0.9, len(x), dtype=np.float32)
    inside = ((each >= 0.2) & (each <= 0.6))[:, None]
    expected = np.where(inside, value(always, x, each), value(given, x, each))
    np.testing.assert_array_equal(value(some, x, each), expected)


def logpdf(offsets, covariance):
    """Of a Gaussian of mean 0 at each row."""
    squares = (offsets * jnp.linalg.solve(covariance, offsets.T).T).sum(axis=1)
    return -0.5 * (squares + jnp.linalg.slogdet(2 * jnp.pi * covariance)[1])


def measured(sde, matrix, noise):
    """The exact ``log p(y | x_t)`` of `plane_mixture` as data."""
    weights, means, covariances = map(jnp.asarray, plane_mixture_arrays())
    y = jnp.asarray(matrix @ SEEN[0], jnp.float32)

    def log_likelihood(x, t):
        alpha, sigma = sde.alpha(t), sde.sigma(t)

        def of_component(weight, mean, covariance):
            noised = alpha**2 * covariance + sigma**2 * jnp.eye(2)
            gain = alpha * jnp.linalg.solve(noised, covariance).T
            centre = mean[None] + (x - alpha * mean[None]) @ gain.T
            left = covariance - alpha * gain @ covariance
            seen = matrix @ left @ matrix.T + noise**2 * jnp.eye(len(y))
            prior = logpdf(x - alpha * mean[None], noised)
            return jnp.log(weight) + prior, logpdf(y[None] - centre @ matrix.T, seen)

        with jax.default_matmul_precision("highest"):
            prior, likelihood = jax.vmap(of_component)(weights, means, covariances)
        return jax.nn.logsumexp(prior + likelihood, axis=0) - jax.nn.logsumexp(prior, axis=0)

    return jax.tree_util.Partial(log_likelihood)


def coefficients(sde, t):
    return map(float, jax.jit(lambda t: (sde.alpha(t), sde.sigma(t)))(t))


def exact_posterior(matrix, noise):
    data = oracles.Mixture(*plane_mixture_arrays())
    return posteriors.posterior(data, matrix, matrix @ SEEN[0], noise)


@each_sde_slowly
def test_the_exact_likelihood_guides_to_the_score_of_the_posterior(sde, key):
    matrix, x = np.array([[1.0, 0.4]]), points(key)
    guided = LikelihoodGuidance(
        score=MixtureScore(plane_mixture(), sde), log_likelihood=measured(sde, matrix, NOISE)
    )
    truth = exact_posterior(matrix, NOISE)
    for t in TIMES:
        expected = truth.noised(*coefficients(sde, t)).score(np.asarray(x, np.float64))
        assert relative(value(guided, x, t), expected) < 1e-3


@pytest.mark.slow("test_the_exact_likelihood_guides_to_the_score_of_the_posterior")
@pytest.mark.parametrize(
    ("counts", "count", "left"),
    [((12, 50), 1000, 0.02), ((25, 100, 400), 5_000, 0.004)],
)
def test_the_exact_likelihood_samples_the_posterior_ever_better(counts, count, left, key):
    """Noise .1. In more steps the error of the moments falls to what chance allows."""
    sde, matrix, noise = VP(), np.array([[1.0, 0.4]]), 0.1
    score = LikelihoodGuidance(
        score=MixtureScore(plane_mixture(), sde), log_likelihood=measured(sde, matrix, noise)
    )
    mean, deviation = exact_posterior(matrix, noise).moments()
    errors = []
    for steps in counts:
        sampler = PredictorCorrector(grid=LogSNRGrid(steps=steps), predictor=Ancestral())
        x = jax.jit(lambda keys, sampler=sampler: sampler(keys, score, sde, (2,)).x)(
            keys(key, count)
        )
        x = np.asarray(x, np.float64)
        errors.append(np.abs([x.mean(0) - mean, x.std(0) - deviation]).max())
    chance = 5 * deviation.max() / count**0.5
    assert errors[-1] < chance + left, (errors, chance)
    assert errors[0] > errors[1] > errors[-1] - chance, errors
    assert errors[0] > 2 * errors[-1], errors


MATRICES = {
    "first": np.array([[1.0, 0.0, 0.0]]),
    "two": np.array([[0.5, -1.0, 0.3], [0.2, 0.4, 0.9]]),
    "repeated": np.array([[1.0, 0.5, 0.0], [2.0, 1.0, 0.0]]),
}
each_matrix = pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)


@pytest.mark.parametrize("name", slow_but("vp"))
@each_matrix
def test_pigdm_is_exact_for_unit_data(name, matrix, key):
    """Their variance given x_t is r^2, as PiGDM has it: the score of the posterior of N(0, I)."""
    sde, noise = SDES[name], 0.3
    unit = GaussianMixture(jnp.ones(1), jnp.zeros((1, 3)), jnp.ones((1, 3)))
    x = jax.random.normal(key, (16, 3))
    y = matrix @ np.array([0.8, -0.5, 0.3])
    guided = PiGDM(
        score=MixtureScore(unit, sde),
        sde=sde,
        operator=Matrix.from_array(matrix),
        measurement=jnp.broadcast_to(jnp.asarray(y, jnp.float32), (16, len(y))),
        noise=noise,
    )
    data = oracles.Mixture(np.ones(1), np.zeros((1, 3)), np.eye(3)[None])
    truth = posteriors.posterior(data, matrix, y, noise)
    for t in TIMES:
        expected = truth.noised(*coefficients(sde, t)).score(np.asarray(x))
        assert relative(value(guided, x, t), expected) < 1e-4


@each_matrix
def test_ddnm_moves_the_posterior_mean_to_the_measurement(matrix, key):
    """As numpy's own pseudo-inverse does, and with noise to the minimizer of both squares."""
    sde, t = VP(), jnp.asarray(0.4)
    score = MixtureScore(gaussian(3), sde)
    x = jax.random.normal(key, (16, 3))
    y = np.tile(matrix @ np.array([0.8, -0.5, 0.3]), (16, 1))
    denoise = jax.jit(denoised, static_argnums=1)
    mean = np.asarray(denoise(score, sde, x, t), np.float64)
    r = float(sde.noise_to_signal(t))
    for noise in (0.0, 0.3):
        guided = DDNM(
            score=score,
            sde=sde,
            operator=Matrix.from_array(matrix),
            measurement=jnp.asarray(y, jnp.float32),
            noise=noise,
        )
        if noise:
            normal = matrix.T @ matrix / noise**2 + np.eye(3) / r**2
            right = y @ matrix / noise**2 + mean / r**2
            expected = np.linalg.solve(normal, right.T).T
        else:
            inverse = np.linalg.pinv(matrix)
            expected = y @ inverse.T + mean @ (np.eye(3) - inverse @ matrix).T
        found = denoise(guided, sde, x, t)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


SAMPLERS = {
    "pc": PredictorCorrector(grid=UniformGrid(steps=20), predictor=EulerMaruyama()),
    "unipc": ExponentialAdams(grid=LogSNRGrid(steps=8)),
    "flow": ProbabilityFlow(solver=AdaptiveSolver(rtol=1e-3, atol=1e-3)),
    "adaptive": AdaptiveReversal(rtol=0.1, atol=0.1),
}
QUICK = [("pc", "vp"), ("unipc", "ve")]
SLOW = [(name, "vp") for name in SAMPLERS] + [("unipc", name) for name in SDES if name != "vp"]
CASES = QUICK + [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW if case not in QUICK]


@pytest.mark.parametrize("sampler, sde", CASES)
def test_every_sampler_leads_known_data_to_themselves(sampler, sde, key):
    sampler, sde = SAMPLERS[sampler], SDES[sde]
    known, data = jnp.asarray([1.0, 0.0, 1.0]), jnp.asarray([0.3, 0.0, -0.9])
    score = DDNM(
        score=MixtureScore(gaussian(3), sde),
        sde=sde,
        operator=Mask(known),
        measurement=data[None],
    )
    x = jax.jit(lambda keys: jax.vmap(lambda k: sampler(k[None], score, sde, (3,)).x[0])(keys))(
        keys(key, 4)
    )
    x = np.asarray(x)
    np.testing.assert_allclose(x[:, [0, 2]], np.tile(np.float32([0.3, -0.9]), (4, 1)), atol=1e-4)
    assert x[:, 1].std() > 0.01


def linear_dps(sde, x, t, y, first):
    """``grad_x |y - A D(x)|`` of the lopsided Gaussian, whose D is linear."""
    alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
    slope = alpha * 0.16 / (alpha**2 * 0.16 + sigma**2)
    mean = 0.7 + slope * (np.asarray(x, np.float64) - alpha * 0.7)
    residual = y - mean @ first.T
    norm = np.linalg.norm(residual, axis=1, keepdims=True)
    return -slope * residual @ first / norm


def test_dps_steps_as_published(key):
    """Ancestral steps of the chain of 1,000 levels, then zeta down the residual's gradient."""
    sde, chain, zeta = VP(), DDPMChain(), 0.7
    first = np.array([[0.6, -0.8]])
    score = MixtureScore(gaussian(2), sde)
    x, y = jax.random.normal(key, (16, 2)), np.full((16, 1), 0.2)
    guided = DPS(
        score=score,
        sde=sde,
        operator=Matrix.from_array(first),
        measurement=jnp.asarray(y, jnp.float32),
        step=zeta,
    )
    move = jax.jit(
        functools.partial(Ancestral(transition=chain), jnp.zeros_like(x)), static_argnums=1
    )
    for index in (200, 500, 900):
        t, s = index / 999, (index - 1) / 999
        moved = np.asarray(move(guided, sde, x, t, s).x) - move(score, sde, x, t, s).x
        expected = -zeta * linear_dps(sde, x, t, y, first)
        assert relative(moved, expected) < 0.02


@pytest.mark.slow("test_dps_steps_as_published")
def test_dps_meets_a_nonlinear_measurement(key):
    """``|x_0|^2`` of unit data in three dimensions, measured as 4: most of the error goes."""
    sde, count = VP(), 500
    unit = GaussianMixture(jnp.ones(1), jnp.zeros((1, 3)), jnp.ones((1, 3)))
    guided = DPS(
        score=MixtureScore(unit, sde),
        sde=sde,
        operator=jax.tree_util.Partial(lambda x: (x**2).sum(axis=1, keepdims=True)),
        measurement=jnp.full((count, 1), 4.0),
        step=0.1,
    )
    sampler = PredictorCorrector(grid=UniformGrid(steps=1000), predictor=Ancestral())
    x = jax.jit(lambda keys: sampler(keys, guided, sde, (3,)).x)(keys(key, count))
    squares = np.asarray((x**2).sum(axis=1))
    usual = np.asarray((jax.random.normal(key, (count, 3)) ** 2).sum(axis=1))
    assert np.abs(squares - 4).mean() < np.abs(usual - 4).mean() / 2, squares[:9]
    directions = np.asarray(x) / np.sqrt(squares)[:, None]
    assert np.abs(directions.mean(axis=0)).max() < 5 / (3 * count) ** 0.5


def test_dps_is_finite_where_nothing_is_left_to_explain():
    sde, x = VP(), jnp.ones((2, 3))
    guided = DPS(
        score=MixtureScore(gaussian(3), sde),
        sde=sde,
        operator=Mask(jnp.zeros(3)),
        measurement=jnp.zeros((2, 3)),
    )
    t = jnp.asarray(0.5)
    np.testing.assert_array_equal(value(guided, x, t), value(MixtureScore(gaussian(3), sde), x, t))


def posterior_of_unit_data(covariance):
    """Of the other coordinate, given that the first is 1."""
    data = oracles.Mixture(np.ones(1), np.zeros((1, 2)), covariance[None])
    return posteriors.posterior(data, np.eye(2)[:1], np.ones(1), 0.01)


@pytest.mark.parametrize("correlation", [0.5, 0.9, 0.99])
def test_pigdm_is_hardly_biased_in_a_thousand_steps(correlation):
    """By the exact recursion: the mean by less than 7 %, the deviation by less than 30 %."""
    covariance = posteriors.correlated(correlation)
    mean, deviation = posterior_of_unit_data(covariance).moments()
    found = posteriors.recursion(covariance, "pigdm")
    assert abs(found[0][1] / mean[1] - 1) < 0.07
    assert abs(found[1][1] / deviation[1] - 1) < 0.3


@pytest.mark.slow("test_pigdm_is_exact_for_unit_data")
@pytest.mark.parametrize(("steps", "count"), [(50, 4000), (1000, 2500)])
def test_approximate_methods_are_as_biased_as_they_must_be(steps, count, key):
    """Mean and deviation are those of the exact recursion, to 5 standard errors and 1e-3."""
    sde = VP()
    sampler = PredictorCorrector(grid=UniformGrid(steps=steps, t_min=1e-3), predictor=Ancestral())
    measurement, known = jnp.asarray([[1.0, 0.0]]), jnp.asarray([1.0, 0.0])
    draw = jax.jit(lambda keys, score: sampler(keys, score, sde, (2,)).x)
    for correlation in (0.5, 0.9, 0.99):
        covariance = posteriors.correlated(correlation)
        mixture = GaussianMixture.from_covariances(
            jnp.ones(1), jnp.zeros((1, 2)), jnp.asarray(covariance)[None]
        )
        score = MixtureScore(mixture, sde)
        for method, kind in (("pigdm", PiGDM), ("ddnm", DDNM)):
            guided = kind(
                score=score, sde=sde, operator=Mask(known), measurement=measurement, noise=0.01
            )
            x = np.asarray(draw(keys(key, count), guided), np.float64)
            expected = posteriors.recursion(covariance, method, steps=steps)
            error = expected[1] / count**0.5
            assert (np.abs(x.mean(0) - expected[0]) < 5 * error + 1e-3).all(), (method, x.mean(0))
            assert (np.abs(x.std(0) - expected[1]) < 5 * error + 1e-3).all(), (method, x.std(0))


def test_new_weights_labels_masks_and_measurements_compile_nothing(key):
    sde, score, traces = VP(), MixtureScore(gaussian(3), VP()), 0

    @jax.jit
    def evaluate(guided, x, t):
        nonlocal traces
        traces += 1
        return guided(x, t)

    x, t = jax.random.normal(key, (4, 3)), jnp.asarray(0.5)
    for kind in (PiGDM, DDNM, DPS):
        for value in (0.0, 1.0):
            evaluate(
                kind(
                    score=score,
                    sde=sde,
                    operator=Mask(jnp.full((4, 3), value)),
                    measurement=jnp.full((4, 3), value),
                ),
                x,
                t,
            )
    for weight in (0.0, 1.5):
        evaluate(
            ClassifierFreeGuidance(
                conditional=score,
                unconditional=score,
                weight=jnp.asarray(weight),
                low=weight / 5,
                high=1 - weight / 5,
            ),
            x,
            t,
        )
    assert traces == 4
