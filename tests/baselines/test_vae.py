"""Linear Gaussian autoencoders, whose evidence and best parameters are known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from linear_vae import KNOWN, LOADINGS, SCALE, Truth, check_moments, linear_vae, z_scores

from sde_jax.arrays import strided_parts
from sde_jax.data import Batch
from sde_jax.randomness import example_seeds
from sde_jax.training import Adam, gradient_learner


def many(function, key, count):
    """``function(key)`` for that many keys."""
    return jax.jit(jax.vmap(function))(jax.random.split(key, count))


def bounds(model, truth, key, count):
    """Estimates of the bound at `KNOWN`, each from keys of its own."""
    params = truth.params()

    def one(key):
        return model.log_likelihoods(params, jax.random.split(key, len(KNOWN)), KNOWN).nats

    return many(one, key, count)


@pytest.mark.parametrize("importance_samples", [1, 3])
def test_the_exact_posterior_gives_the_evidence_at_every_draw(importance_samples, key):
    truth = Truth()
    model = linear_vae(importance_samples=importance_samples)
    nats = bounds(model, truth, key, 20)
    expected = np.broadcast_to(truth.log_evidence(KNOWN), nats.shape)
    np.testing.assert_allclose(nats, expected, atol=1e-5)


def test_another_encoder_gives_less_by_its_divergence_from_the_posterior(key):
    """``log p(x) - bound = KL(q(z|x) || p(z|x))``; 10,000 draws of the loss and of the weights."""
    truth = Truth(wrong=True)
    expected = truth.log_evidence(KNOWN) - truth.gap(KNOWN)
    assert truth.gap(KNOWN).min() > 0.05
    params = truth.params()

    def of(key):
        return linear_vae().losses(params, example_seeds(key, len(KNOWN)), KNOWN)

    losses = many(of, key, 10_000)
    for estimates in (-losses, bounds(linear_vae(), truth, key, 10_000)):
        z = z_scores(estimates, expected)
        assert np.abs(z).max() < 5, z


def test_more_draws_bound_more_closely_and_weigh_without_bias(key):
    """K = 1, 32, 4000 times: means rise to the evidence, means of ``exp`` equal it."""
    truth = Truth(wrong=True)
    evidence, last = truth.log_evidence(KNOWN), None
    for draws in (1, 32):
        nats = bounds(linear_vae(importance_samples=draws), truth, key, 4000)
        z = z_scores(np.exp(nats - evidence[None]), 1.0)
        assert np.abs(z).max() < 5, z
        lacking = (evidence[None] - np.asarray(nats)).mean(axis=1)
        assert z_scores(lacking, 0.0) > 5
        if last is not None:
            assert z_scores(last - lacking, 0.0) > 5
        last = lacking
    assert last.mean() < 0.1 * truth.gap(KNOWN).mean()


def test_beta_weighs_the_divergence_alone(key):
    truth = Truth(wrong=True)

    @jax.jit
    def losses(params):
        seeds = example_seeds(key, len(KNOWN))
        return [linear_vae(beta=beta).losses(params, seeds, KNOWN) for beta in (1.0, 3.5)]

    plain, weighed = losses(truth.params())
    np.testing.assert_allclose(weighed - plain, 2.5 * truth.divergence(KNOWN), rtol=1e-5)


def test_the_bound_knows_no_beta(key):
    nats = bounds(linear_vae(beta=3.0), Truth(), key, 1)
    np.testing.assert_allclose(nats[0], Truth().log_evidence(KNOWN), atol=1e-5)


@pytest.mark.parametrize("noise", [False, True])
def test_samples_have_the_moments_of_the_model(noise, key):
    """20,000 samples; without noise the decoder's variance is missing."""
    truth = Truth()

    def draw(keys):
        return linear_vae().sample(truth.params(), keys, (3,), noise=noise)

    samples = jax.jit(draw)(jax.random.split(key, 20_000))
    covariance = truth.covariance if noise else LOADINGS @ LOADINGS.T
    check_moments(samples.x, truth.mean, covariance)
    np.testing.assert_array_equal(samples.nfe, np.ones(20_000))
    assert samples.converged.all()


def test_samples_and_bounds_depend_on_their_own_key_alone(key):
    model, params = linear_vae(importance_samples=2), Truth(wrong=True).params()
    keys = jax.random.split(key, len(KNOWN))

    @jax.jit
    def draw_and_weigh(keys, x):
        samples = model.sample(params, keys, (3,), noise=True)
        return samples.x, model.log_likelihoods(params, keys, x)

    samples, whole = draw_and_weigh(keys, KNOWN)
    own, some = draw_and_weigh(keys[2:4], KNOWN[2:4])
    np.testing.assert_allclose(own, samples[2:4], atol=1e-6)
    assert np.unique(np.round(samples, 4)).size == samples.size
    np.testing.assert_allclose(some.nats, whole.nats[2:4], atol=1e-5)
    np.testing.assert_array_equal(whole.nfe, np.full(len(KNOWN), 2))
    assert whole.probe_stderr is None


def test_parts_have_the_losses_of_the_whole(key):
    model, params = linear_vae(), Truth(wrong=True).params()

    @jax.jit
    def of(seeds, x):
        return model.losses(params, seeds, x), model.encode(params, seeds.keys, x)

    given = example_seeds(key, len(KNOWN)), jnp.asarray(KNOWN)
    whole = of(*given)
    for index, part in enumerate(strided_parts(given, 3)):
        for actual, expected in zip(of(*part), whole, strict=True):
            np.testing.assert_allclose(actual, expected[index::3], rtol=1e-5)


def best_of_one_latent(x):
    """The least mean of -log p(x) of all models ``N(b, w w^T + s^2)``: probabilistic PCA.

    Tipping and Bishop 1999, eqs. 3.7 and 3.8: the first axis is kept, s^2 is the mean variance of
    the others, and the quadratic form is D on average.
    """
    variances = np.sort(np.linalg.eigvalsh(np.cov(x.T, bias=True)))
    others = variances[:-1].mean()
    log_determinant = np.log(variances[-1]) + (len(variances) - 1) * np.log(others)
    return 0.5 * (len(variances) * (np.log(2 * np.pi) + 1) + log_determinant)


@pytest.mark.slow("test_the_exact_posterior_gives_the_evidence_at_every_draw")
def test_training_reaches_probabilistic_pca(key):
    """Training reaches .01 nats from the initial parameters in 400 steps."""
    key_data, key_init, key_steps, key_evaluation = jax.random.split(key, 4)
    mixing = jnp.asarray([[0.4, 0.0, 0.0], [0.5, 0.3, 0.0], [-0.6, 0.1, 0.2]])
    x = 0.7 + jax.random.normal(key_data, (1024, 3)) @ mixing.T
    model = linear_vae(latent=1)

    def losses(params, seeds, batch, **options):
        return model.losses(params, seeds, batch.x, **options)

    optimizer = Adam(learning_rate=0.05, decay="cosine").build(400)
    learner = gradient_learner(lambda key: model.init(key, (3,)), losses, optimizer, ema_decay=0.9)

    @jax.jit
    def trained(key_init):
        def step(state, key):
            return learner.update(state, key, Batch(x, None))[0], None

        keys = jax.random.split(key_steps, 400)
        return jax.lax.scan(step, learner.init(key_init), keys)[0]

    state = trained(key_init)
    evaluated = many(lambda key: learner.evaluate(state, key, Batch(x, None)), key_evaluation, 100)
    optimum = best_of_one_latent(np.asarray(x, np.float64))
    loss = evaluated.mean(axis=1)
    error = loss.std() / np.sqrt(len(loss))
    assert optimum - 5 * error < loss.mean() < optimum + 0.01, (loss.mean() - optimum, error)
    loadings = np.asarray(state.ema_params["decoder"]["kernel"], np.float64)
    scale = float(model.output.scale(state.ema_params["output"]))
    covariance = loadings.T @ loadings + scale**2 * np.eye(3)
    variances, axes = np.linalg.eigh(np.cov(np.asarray(x, np.float64).T, bias=True))
    kept = np.array([variances[:2].mean()] * 2 + [variances[2]])
    np.testing.assert_allclose(covariance, axes @ np.diag(kept) @ axes.T, atol=0.02)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"beta": 0.0}, "`beta` must be positive and finite: got beta=0.0"),
        ({"beta": np.inf}, "`beta` must be positive and finite: got beta=inf"),
        (
            {"importance_samples": 0},
            "`importance_samples` must be at least 1: got ",
        ),
    ],
)
def test_fields_of_a_vae_out_of_range(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        linear_vae(**fields)


def test_the_noise_of_a_trained_model_is_its_own():
    assert linear_vae().output.scale(Truth().params()["output"]) == pytest.approx(SCALE, rel=1e-6)
