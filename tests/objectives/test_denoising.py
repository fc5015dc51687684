"""Denoising score matching where the minimum is known: one Gaussian."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DEVIATION, MEAN, SDES, each_name, slow_but

from sde_jax.arrays import expand_like
from sde_jax.objectives import (
    DenoisingScoreMatching,
    LikelihoodTimes,
    LikelihoodWeighting,
    NoiseWeighting,
    StratifiedTimes,
    UniformTimes,
)
from sde_jax.randomness import example_seeds
from sde_jax.score import (
    DataPrediction,
    EDMPrediction,
    FlowPrediction,
    LogNoiseLevel,
    NoisePrediction,
    ScaledTime,
    ScoreModel,
    ScorePrediction,
    VelocityPrediction,
)
from sde_jax.sde import LinearSDE

PARAMETERIZATIONS = [
    NoisePrediction(),
    DataPrediction(),
    VelocityPrediction(),
    FlowPrediction(),
    ScorePrediction(),
    EDMPrediction(data_deviation=0.3),
]

vp_and_others_slowly = pytest.mark.parametrize(
    "sde",
    [pytest.param(SDES[one.values[0]], marks=one.marks) for one in slow_but("vp")],
    ids=SDES,
)


class ExactGaussian(nn.Module):
    """The best prediction for N(MEAN, DEVIATION^2), times ``gain`` plus ``shift``; time is t."""

    sde: LinearSDE
    parameterization: object

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        gain = self.param("gain", nn.initializers.constant(1.0), ())
        shift = self.param("shift", nn.initializers.constant(0.0), ())
        alpha, sigma = expand_like(self.sde.alpha(time), x), expand_like(self.sde.sigma(time), x)
        variance = alpha**2 * DEVIATION**2 + sigma**2
        offset = x - alpha * MEAN
        x0 = MEAN + alpha * DEVIATION**2 * offset / variance
        noise = sigma * offset / variance
        return gain * self.parameterization.target(x0, noise, alpha, sigma) + shift


def exact_model(sde, parameterization=NoisePrediction()):  # noqa: B008
    network = ExactGaussian(sde, parameterization)
    return ScoreModel(
        network=network,
        sde=sde,
        parameterization=parameterization,
        time_condition=ScaledTime(scale=1.0),
    )


def data(key, count):
    return MEAN + DEVIATION * jax.random.normal(key, (count, 2))


def closed_form(sde, weighting, t_min):
    """``E |sigma score + noise|^2 = 1 - sigma^2 / (alpha^2 v + sigma^2)``, weighted, over time."""
    grid = np.union1d(np.geomspace(t_min, 1.0, 20_001), np.linspace(t_min, 1.0, 20_001))

    @jax.jit
    def integrand(t):
        signal = (sde.alpha(t) * DEVIATION) ** 2
        return weighting(sde, t) * signal / (signal + sde.sigma(t) ** 2)

    with jax.enable_x64(True):
        return np.trapezoid(integrand(grid), grid) / (1 - t_min)


CASES = [
    pytest.param(
        sde,
        LikelihoodWeighting(),
        NoisePrediction(),
        marks=() if name in ("vp", "ve") else pytest.mark.slow,
    )
    for name, sde in SDES.items()
]
CASES += [(SDES["subvp"], LikelihoodWeighting(), PARAMETERIZATIONS[-1])]
CASES += [pytest.param(SDES["vp"], NoiseWeighting(), NoisePrediction(), marks=pytest.mark.slow)]
CASES += [
    pytest.param(SDES["subvp"], LikelihoodWeighting(), other, marks=pytest.mark.slow)
    for other in PARAMETERIZATIONS[1:-1]
]


@pytest.mark.parametrize(
    ("sde", "weighting", "parameterization"),
    CASES,
    ids=lambda part: type(part).__name__,
)
def test_the_exact_score_is_the_minimum_and_its_loss_is_known(
    sde, weighting, parameterization, key
):
    """Gradient 0 and value as derived, within 5 standard errors over 64 batches."""
    t_min = 0.01
    objective = DenoisingScoreMatching(
        model=exact_model(sde, parameterization),
        times=UniformTimes(t_min=t_min),
        weighting=weighting,
    )
    params = {"gain": jnp.ones(()), "shift": jnp.zeros(())}

    @jax.jit
    @jax.vmap
    def one(key):
        key_data, key_loss = jax.random.split(key)

        seeds = example_seeds(key_loss, 256)

        def loss(params):
            return objective.losses(params, seeds, data(key_data, 256)).mean()

        return jax.value_and_grad(loss)(params)

    values, gradients = one(jax.random.split(key, 64))
    for estimates, expected in [
        (values, closed_form(sde, weighting, t_min)),
        (gradients["gain"], 0.0),
        (gradients["shift"], 0.0),
    ]:
        estimates = np.asarray(estimates, np.float64)
        z = (estimates.mean() - expected) / (estimates.std() / np.sqrt(64))
        assert abs(z) < 5, (z, estimates.mean(), expected)


@vp_and_others_slowly
def test_a_wrong_score_loses(sde, key):
    objective = DenoisingScoreMatching(model=exact_model(sde))
    x0, seeds = data(key, 4096), example_seeds(key, 4096)
    losses = jax.jit(objective.losses)
    right, small, moved = (
        np.mean(losses({"gain": gain, "shift": shift}, seeds, x0))
        for gain, shift in [(1.0, 0.0), (0.8, 0.0), (1.0, 0.1)]
    )
    assert right < small
    assert right < moved


@pytest.mark.parametrize("name", slow_but("vp"))
def test_importance_sampling_changes_the_variance_and_nothing_else(name, key):
    """Same mean within 5 standard errors, and less variance than with uniform times."""
    sde = SDES[name]
    weighting, t_min = LikelihoodWeighting(), 1e-3
    params = {"gain": jnp.ones(()), "shift": jnp.zeros(())}

    def estimates(times, key):
        objective = DenoisingScoreMatching(model=exact_model(sde), times=times, weighting=weighting)

        def one(key):
            key_data, key_loss = jax.random.split(key)
            return objective.losses(params, example_seeds(key_loss, 64), data(key_data, 64)).mean()

        return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(key, 400)))

    key_uniform, key_importance = jax.random.split(key)
    uniform = estimates(UniformTimes(t_min=t_min), key_uniform)
    importance = estimates(LikelihoodTimes(t_min=t_min), key_importance)
    error = np.sqrt((uniform.var() + importance.var()) / 400)
    assert abs(uniform.mean() - importance.mean()) < 5 * error
    assert abs(importance.mean() - closed_form(sde, weighting, t_min)) < 5 * error
    if not constant_weight(sde):
        assert importance.std() < 0.75 * uniform.std()


def constant_weight(sde):
    """For VE ``g^2 / sigma^2`` does not depend on t: uniform times are the likelihood's already."""
    weights = LikelihoodWeighting()(sde, jnp.asarray([0.1, 0.9]))
    return bool(jnp.isclose(*weights))


@vp_and_others_slowly
def test_half_the_sum_is_d_over_two_means(sde, key):
    x0, params = jax.random.normal(key, (4, 3, 2, 1)), {"gain": 0.7, "shift": 0.1}
    model, seeds = exact_model(sde), example_seeds(key, 4)
    losses = [
        jax.jit(DenoisingScoreMatching(model=model, reduction=reduction).losses)(params, seeds, x0)
        for reduction in ("mean", "half_sum")
    ]
    np.testing.assert_allclose(losses[1], 3 * losses[0], rtol=1e-5)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match=r"^`reduction` must be .mean. or .half_sum.: got "):
        DenoisingScoreMatching(model=exact_model(SDES["vp"]), reduction="sum")


def test_losses_draw_times_noise_and_dropout_from_the_seeds(key):
    class Dropped(nn.Module):
        @nn.compact
        def __call__(self, x, time, condition=None, *, deterministic):
            return nn.Dropout(0.5)(x, deterministic=deterministic)

    objective = DenoisingScoreMatching(
        model=ScoreModel(network=Dropped(), sde=SDES["vp"]), times=StratifiedTimes()
    )
    x0, seeds = data(key, 8), example_seeds(key, 8)
    losses = jax.jit(objective.losses, static_argnames="deterministic")
    first, again = losses({}, seeds, x0), losses({}, seeds, x0)
    np.testing.assert_array_equal(first, again)
    still = losses({}, seeds, x0, deterministic=True)
    assert not np.allclose(first, still)
    others = example_seeds(jax.random.fold_in(key, 1), 8)
    other = losses({}, others, x0, deterministic=True)
    assert not np.allclose(still, other)


def test_the_condition_is_given_to_the_network(key):
    class Conditioned(nn.Module):
        @nn.compact
        def __call__(self, x, time, condition=None, *, deterministic):
            return jnp.broadcast_to(condition[:, None], x.shape)

    objective = DenoisingScoreMatching(model=ScoreModel(network=Conditioned(), sde=SDES["vp"]))
    x0, noise = jnp.zeros((2, 3)), jnp.full((2, 3), 5.0)
    condition = jnp.asarray([5.0, 7.0])
    losses = objective.losses_at({}, x0, jnp.full(2, 0.5), noise, condition)
    np.testing.assert_allclose(losses, [0.0, 4.0])


@vp_and_others_slowly
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS, ids=lambda p: type(p).__name__)
def test_nothing_cancels_at_small_times(sde, parameterization):
    """In float32 at t = 1e-5 the loss is that in float64: no difference of large numbers."""
    objective = DenoisingScoreMatching(
        model=exact_model(sde, parameterization),
        weighting=LikelihoodWeighting(),
    )
    rng = np.random.default_rng(0)
    x0, noise = rng.normal(size=(2, 5, 3))
    t = np.float32([1e-5, 1e-4, 1e-3, 0.1, 0.9])
    params = {"gain": 0.9, "shift": 0.1}

    losses = jax.jit(objective.losses_at)
    arrays = [a.astype(np.float32) for a in (x0, t, noise)]
    single = losses(params, *arrays)
    with jax.enable_x64(True):
        double = losses(params, *(a.astype(np.float64) for a in arrays))
    np.testing.assert_allclose(single, double, rtol=2e-3)


@vp_and_others_slowly
def test_compiling_for_a_large_batch_changes_nothing(sde, key):
    """XLA on CPU fuses batches from 4096 on in another way, which once gave a quarter of this."""
    objective = DenoisingScoreMatching(model=exact_model(sde), weighting=LikelihoodWeighting())
    params = {"gain": jnp.asarray(0.5), "shift": jnp.zeros(())}
    x0, t, noise = data(key, 8192), jnp.linspace(1e-3, 1.0, 8192), jnp.ones((8192, 2))
    eager = objective.losses_at(params, x0, t, noise)
    compiled = jax.jit(objective.losses_at)(params, x0, t, noise)
    np.testing.assert_allclose(compiled, eager, rtol=1e-3, atol=1e-4)


@each_name
def test_likelihood_weighting_is_the_squared_diffusion_of_the_score(name):
    """``w |sigma score + noise|^2 = g^2 |score + noise / sigma|^2``."""
    sde, t = SDES[name], jnp.asarray([0.1, 0.7])
    weight = LikelihoodWeighting()(sde, t) * sde.sigma(t) ** 2
    np.testing.assert_allclose(weight, sde.diffusion_squared(t), rtol=1e-6)
    np.testing.assert_array_equal(NoiseWeighting()(sde, t), np.ones(2))


def test_the_model_decides_what_the_network_is_told(key):
    class Told(nn.Module):
        @nn.compact
        def __call__(self, x, time, condition=None, *, deterministic):
            return jnp.broadcast_to(time[:, None], x.shape)

    sde, t = SDES["vp"], jnp.asarray([0.5])
    for condition in (ScaledTime(), LogNoiseLevel()):
        model = ScoreModel(network=Told(), sde=sde, time_condition=condition)
        losses = DenoisingScoreMatching(model=model).losses_at(
            {}, jnp.zeros((1, 2)), t, jnp.zeros((1, 2))
        )
        np.testing.assert_allclose(losses, condition(sde, t) ** 2, rtol=1e-5)
