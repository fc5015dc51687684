"""Losses and penalties against closed forms and integrals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import keys
from scipy.integrate import quad
from scipy.stats import kstest, norm

from sde_jax.baselines.adversarial_loss import AdversarialLoss

KINDS = ("saturating", "non_saturating", "wasserstein")
each_kind = pytest.mark.parametrize("kind", KINDS)

REAL, GENERATED = norm(0.7, 0.4), norm(-0.2, 0.6)


def test_losses_are_negative_log_probabilities_of_the_judgement():
    """Losses stay finite where a probability is 0 in float32."""
    scores = np.array([-200.0, -3.0, 0.4, 2.0, 200.0])
    log_real = np.minimum(scores, 0) - np.log1p(np.exp(-np.abs(scores)))
    log_generated = log_real - scores
    expected = {
        "saturating": (-log_real, -log_generated, log_generated),
        "non_saturating": (-log_real, -log_generated, -log_real),
        "wasserstein": (-scores, scores, -scores),
    }
    for kind in KINDS:
        loss = AdversarialLoss(loss=kind)
        got = [
            losses(jnp.asarray(scores))
            for losses in (loss.real_losses, loss.generated_losses, loss.generator_losses)
        ]
        np.testing.assert_allclose(got, expected[kind], rtol=1e-6, atol=1e-30)


def log_ratio(x):
    return REAL.logpdf(x) - GENERATED.logpdf(x)


def expectation(function, distribution):
    return quad(lambda x: distribution.pdf(x) * function(x), -12, 12, limit=400, epsabs=1e-12)[0]


def z_score(values, expected):
    values = np.asarray(values, np.float64)
    return (values.mean() - expected) / (values.std(ddof=1) / np.sqrt(len(values)))


def draws(n=40_000):
    generator = np.random.default_rng(0)
    return [law.rvs(n, random_state=generator) for law in (REAL, GENERATED)]


def test_at_the_best_judgement_the_loss_is_the_jensen_shannon_divergence():
    """Minus the discriminator's loss is ``2 JS - log 4``, by integrals of its definition."""

    def log_middle(x):
        return np.logaddexp(REAL.logpdf(x), GENERATED.logpdf(x)) - np.log(2)

    divergence = 0.5 * sum(
        expectation(lambda x, law=law: law.logpdf(x) - log_middle(x), law)
        for law in (REAL, GENERATED)
    )
    assert 0.2 < divergence < 0.6
    loss = AdversarialLoss(loss="saturating")
    x, y = (jnp.asarray(log_ratio(points)) for points in draws())
    z = z_score(-(loss.real_losses(x) + loss.generated_losses(y)), 2 * divergence - np.log(4))
    assert abs(z) < 5, f"z = {z:.1f}"


def slopes(losses, scores):
    return np.asarray(jax.grad(lambda scores: losses(scores).sum())(jnp.asarray(scores)))


@pytest.mark.parametrize("kind", ["saturating", "non_saturating"])
def test_the_log_ratio_is_the_best_judgement(kind):
    """The mean loss is stationary there: along 1, x and x^2 its slope is zero. n = 40,000."""
    loss = AdversarialLoss(loss=kind)
    x, y = draws()
    slope_real, slope_generated = (
        jax.vmap(jax.grad(loss.real_losses)),
        jax.vmap(jax.grad(loss.generated_losses)),
    )
    at_x, at_y = slope_real(jnp.asarray(log_ratio(x))), slope_generated(jnp.asarray(log_ratio(y)))
    for power in (0, 1, 2):
        z = z_score(np.asarray(at_x) * x**power + np.asarray(at_y) * y**power, 0.0)
        assert abs(z) < 5, f"along x^{power}: z = {z:.1f}"
    wrong = z_score(np.asarray(slope_real(jnp.asarray(log_ratio(x) - 0.3))) + np.asarray(at_y), 0.0)
    assert abs(wrong) > 5


def linear(weights):
    """A discriminator of slope ``weights`` everywhere."""
    return lambda x: x.reshape(len(x), -1) @ weights.reshape(-1) + 0.3


@pytest.mark.parametrize("shape", [(2,), (4, 4, 3)])
@each_kind
def test_penalties_of_a_linear_discriminator(kind, shape, key):
    """Exactly ``penalty (|w| - 1)^2`` and ``r1 / 2 |w|^2``, and their gradients, for any data."""
    key_weights, key_real, key_generated, key_penalty = jax.random.split(key, 4)
    weights = jax.random.normal(key_weights, shape)
    real = 0.7 + 0.4 * jax.random.normal(key_real, (5, *shape))
    generated = 3 * jax.random.normal(key_generated, (5, *shape))
    wasserstein = kind == "wasserstein"
    loss = AdversarialLoss(loss=kind, penalty=7.0, r1=0.0 if wasserstein else 3.0)

    def penalties(weights):
        return loss.gradient_penalty(linear(weights), keys(key_penalty, 5), real, generated)

    w = np.asarray(weights, np.float64)
    length = np.sqrt((w**2).sum())
    value = 7.0 * (length - 1) ** 2 if wasserstein else 1.5 * length**2
    slope = 14.0 * (length - 1) * w / length if wasserstein else 3.0 * w

    def mean(weights):
        values = penalties(weights)
        return values.mean(), values

    grads, values = jax.jit(jax.grad(mean, has_aux=True))(weights)
    np.testing.assert_allclose(values, np.full(5, value), rtol=1e-5)
    np.testing.assert_allclose(grads, slope, rtol=1e-5, atol=1e-5)


def half_square(x):
    """A discriminator whose slope at x is x."""
    return 0.5 * (x**2).reshape(len(x), -1).sum(axis=1)


def test_the_penalty_is_taken_at_one_uniform_place_between_each_pair(key):
    """Between a and -a the slope's length shows ``|2 u - 1|``: uniform, if all pixels share u."""
    real = jnp.full((2000, 2, 2, 1), 4.0)
    loss = AdversarialLoss(loss="wasserstein", penalty=1.0)
    penalties = jax.jit(functools.partial(loss.gradient_penalty, half_square))(
        keys(key, 2000), real, -real
    )
    # Each of four pixels is 4 (2 u - 1): the length is 8 |2 u - 1|, told apart above 1.
    lengths = 1 + np.sqrt(np.asarray(penalties, np.float64))
    far = lengths[lengths > 2] / 8
    assert kstest(far, "uniform", (0.25, 0.75)).pvalue > 1e-4
    share = len(far) / len(lengths)
    assert abs(share - 0.75) < 5 * np.sqrt(0.75 * 0.25 / len(lengths))


def test_r1_is_taken_at_real_examples(key):
    real = jnp.asarray([[3.0, 4.0], [0.0, 1.0]])
    loss = AdversarialLoss(r1=0.2)
    penalties = loss.gradient_penalty(half_square, keys(key, 2), real, 100 + real)
    np.testing.assert_allclose(penalties, [2.5, 0.1], rtol=1e-6)


def test_without_r1_nothing_is_added(key):
    x = jnp.ones((3, 2))
    np.testing.assert_array_equal(
        AdversarialLoss().gradient_penalty(half_square, keys(key, 3), x, x), 0.0
    )


def test_a_flat_discriminator_has_a_finite_penalty(key):
    """The square root has no finite gradient at slope zero."""
    x, flat = jnp.ones((3, 2)), jnp.zeros(2)
    loss = AdversarialLoss(loss="wasserstein")
    value, grads = jax.jit(
        jax.value_and_grad(
            lambda weights: loss.gradient_penalty(linear(weights), keys(key, 3), x, x).mean()
        )
    )(flat)
    np.testing.assert_allclose(value, 10.0, rtol=1e-4)
    np.testing.assert_array_equal(grads, flat)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "hinge"}, r"`loss` must be one of saturating, non_saturating, wasserstein"),
        ({"penalty": -1.0}, "`penalty` must not be negative: got penalty=-1.0"),
        ({"r1": float("nan")}, "`r1` must not be negative: got r1=nan"),
        ({"loss": "wasserstein", "r1": 1.0}, "`r1` must be 0 for the Wasserstein loss: got 1.0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        AdversarialLoss(**settings)
