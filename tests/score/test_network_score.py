"""A network read as a score, for a network so simple that the score is known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DEVIATION, MEAN, SDES, each_sde_slowly, gaussian

from sde_jax.sampling import PredictorCorrector, ReverseDiffusion, UniformGrid
from sde_jax.score import (
    DataPrediction,
    DenoiserScore,
    DescendingIndex,
    LogNoiseLevel,
    LogScaledTime,
    NetworkScore,
    NoiseLevel,
    ScaledTime,
    ScoreModel,
    ScorePrediction,
    denoised,
)
from sde_jax.sde import DDPMChain


class Affine(nn.Module):
    """``weight x + bias + time_weight time``, plus the condition; keeps what it was told."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        weight = self.param("weight", nn.initializers.constant(2.0), ())
        bias = self.param("bias", nn.initializers.constant(-1.0), ())
        slope = self.param("slope", nn.initializers.constant(0.5), ())
        self.sow("intermediates", "deterministic", deterministic)
        output = weight * x + bias + slope * time[:, None]
        return output if condition is None else output + condition[:, None]


@each_sde_slowly
def test_the_networks_noise_over_sigma_is_the_score(sde):
    model = ScoreModel(network=Affine(), sde=sde)
    params = model.init(jax.random.key(0), (3,))
    x, t = jnp.asarray([[1.0, 2.0, -1.0], [0.5, 0.0, 4.0]]), jnp.asarray([0.2, 0.9])
    expected = -(2 * x - 1 + 0.5 * 999 * t[:, None]) / sde.sigma(t)[:, None]
    np.testing.assert_allclose(NetworkScore(params, model)(x, t), expected, rtol=1e-5)
    one_time = NetworkScore(params, model)(x, t[1])
    np.testing.assert_allclose(one_time[1], expected[1], rtol=1e-5)


@each_sde_slowly
def test_a_network_that_is_the_exact_score_of_a_gaussian(sde):
    """At one time the score is affine in x, hence a setting of the network's weights."""
    t = jnp.asarray(0.4)
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    shrink = alpha * DEVIATION**2 / (alpha**2 * DEVIATION**2 + sigma**2)
    params = {"weight": shrink, "bias": MEAN * (1 - shrink * alpha), "slope": jnp.asarray(0.0)}
    model = ScoreModel(network=Affine(), sde=sde, parameterization=DataPrediction())
    score, x = NetworkScore(params, model), jnp.asarray([[-1.0, 0.3], [0.7, 2.0]])
    np.testing.assert_allclose(score(x, t), gaussian(2).score(sde, x, t), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        denoised(score, sde, x, t), gaussian(2).denoised(sde, x, t), rtol=1e-4
    )
    adapted = DenoiserScore(lambda y, _: params["weight"] * alpha * y + params["bias"], sde)
    np.testing.assert_allclose(adapted(x, t), score(x, t), rtol=1e-5)


@pytest.mark.parametrize("name", SDES)
def test_what_the_network_is_told_of_time(name):
    sde, t = SDES[name], jnp.asarray([0.3, 0.8])
    np.testing.assert_allclose(ScaledTime()(sde, t), 999 * t, rtol=1e-6)
    np.testing.assert_allclose(ScaledTime(scale=10.0)(sde, t), 10 * t, rtol=1e-6)
    levels = np.asarray(sde.sigma(t)) / np.asarray(sde.alpha(t))
    np.testing.assert_allclose(NoiseLevel()(sde, t), levels, rtol=1e-4)
    quarters = 0.25 * np.log(levels)
    np.testing.assert_allclose(LogNoiseLevel(scale=0.25)(sde, t), quarters, rtol=1e-4)
    np.testing.assert_allclose(LogScaledTime()(sde, t), np.log(999 * np.asarray(t)), rtol=1e-6)
    np.testing.assert_array_equal(DescendingIndex(levels=101)(sde, t), [70, 20])


@pytest.mark.parametrize("levels", [2, 50, 1000, 2000])
def test_a_level_is_told_as_a_whole_number(levels):
    """Every one: in float32, 49 (i / 49) alone is not i for four of them."""
    i = np.arange(levels)
    t = jnp.asarray((i / (levels - 1)).astype(np.float32))
    for told, expected in [
        (ScaledTime(scale=levels - 1), i),
        (DescendingIndex(levels=levels), levels - 1 - i),
    ]:
        for evaluate in (told, jax.jit(told, static_argnums=0)):
            np.testing.assert_array_equal(evaluate(SDES["vp"], t), expected)


def test_between_two_levels_the_even_index_is_told():
    t = jnp.asarray([0.125, 0.375, 0.625, 0.3])
    np.testing.assert_array_equal(DescendingIndex(levels=5)(SDES["ve"], t), [4, 2, 2, 3])


def test_between_two_levels_the_time_is_told_as_it_is():
    t = jnp.asarray([0.3001, 0.9999])
    np.testing.assert_allclose(ScaledTime(scale=999.0)(SDES["vp"], t), [299.7999, 998.9001])


@pytest.mark.parametrize(
    ("name", "told", "labels"),
    [
        ("vp", ScaledTime(), "cont"),
        ("subvp", ScaledTime(), "cont"),
        ("vp", ScaledTime(scale=999.0), "disc"),
        ("ve", DescendingIndex(), "disc"),
    ],
)
def test_networks_are_told_the_published_labels(name, told, labels, parity):
    file = parity(f"sde/{name}")
    ours = told(SDES[name], jnp.asarray(file["t"]))
    np.testing.assert_allclose(ours, file[f"score_fn_labels_{labels}"], rtol=2e-7)


def test_published_fourier_features_are_told_logarithms(parity):
    """Their networks take the logarithm of the label themselves: sigma, or 999 t."""
    ve, vp = parity("sde/ve"), parity("sde/vp")
    for sde, told, file in [("ve", LogNoiseLevel(), ve), ("vp", LogScaledTime(), vp)]:
        label = jnp.exp(told(SDES[sde], jnp.asarray(file["t"])))
        np.testing.assert_allclose(label, file["score_fn_labels_cont"], rtol=2e-6)


class Ones(nn.Module):
    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        return jnp.ones_like(x)


@pytest.mark.parametrize(
    ("name", "settings", "key"),
    [
        ("vp", {}, "cont"),
        ("subvp", {}, "cont"),
        ("vp", {"noise_levels": DDPMChain()}, "disc"),
        ("ve", {"parameterization": ScorePrediction()}, "cont"),
        ("ve", {"parameterization": ScorePrediction()}, "disc"),
    ],
)
def test_outputs_are_read_as_the_published_scores(name, settings, key, parity):
    """Of a network that returns ones; the reference's float32 sigma is wrong at small times."""
    file, model = parity(f"sde/{name}"), ScoreModel(network=Ones(), sde=SDES[name], **settings)
    t = jnp.asarray(file["t"])
    score = NetworkScore({}, model)(jnp.zeros((t.size, 2)), t)
    tolerance = np.where(t < 2e-3, 0.013, 2e-5)
    published = file[f"score_fn_of_ones_{key}"]
    assert (np.abs(score[:, 0] - published) <= tolerance * np.abs(published)).all()


@pytest.mark.parametrize("steps", [7, 1000])
def test_the_levels_are_the_models_and_not_the_samplers(steps, key):
    """A model of N levels is told 999 t however many steps there are."""
    told = []

    class Recording(nn.Module):
        @nn.compact
        def __call__(self, x, time, condition=None, *, deterministic):
            jax.debug.callback(lambda time: told.append(float(time[0])), time, ordered=True)
            return jnp.zeros_like(x)

    model = ScoreModel(network=Recording(), sde=SDES["vp"], noise_levels=DDPMChain(levels=1000))
    grid = UniformGrid(steps=steps, t_min=1e-3)
    sampler = PredictorCorrector(grid=grid, predictor=ReverseDiffusion(), end="state")
    score = NetworkScore({}, model)
    jax.block_until_ready(sampler(jax.random.split(key, 1), score, SDES["vp"], (1,)).x)
    jax.effects_barrier()
    np.testing.assert_allclose(told, 999 * np.asarray(grid(SDES["vp"]))[:-1], rtol=1e-6)


@each_sde_slowly
@pytest.mark.parametrize("deviation", [1.0, 0.4])
def test_normalized_input_has_unit_size(sde, deviation):
    t = jnp.asarray([0.1, 0.5])
    model = ScoreModel(network=Affine(), sde=sde, data_deviation=deviation)
    params = {"weight": 1.0, "bias": 0.0, "slope": 0.0}
    size = jnp.sqrt((deviation * sde.alpha(t)) ** 2 + sde.sigma(t) ** 2)[:, None]
    np.testing.assert_allclose(model.predict(params, 3 * size, t), [[3.0], [3.0]], rtol=1e-6)


def test_the_condition_reaches_the_network_and_is_traced():
    model = ScoreModel(network=Affine(), sde=SDES["vp"])
    params = model.init(jax.random.key(0), (1,), jnp.zeros(1))
    traces = []

    def evaluate(score, x):
        traces.append(None)
        return score(x, jnp.asarray(0.5))

    compiled, x = jax.jit(evaluate), jnp.ones((2, 1))
    plain = compiled(NetworkScore(params, model, jnp.zeros(2)), x)
    moved = compiled(NetworkScore(params, model, jnp.asarray([0.0, 3.0])), x)
    difference = -3.0 / SDES["vp"].sigma(jnp.asarray(0.5))
    np.testing.assert_allclose(moved - plain, [[0.0], [difference]], rtol=1e-5, atol=1e-4)
    assert len(traces) == 1


def test_dropout_is_on_where_there_is_a_key():
    class Dropped(nn.Module):
        @nn.compact
        def __call__(self, x, time, condition=None, *, deterministic):
            return nn.Dropout(0.5)(x, deterministic=deterministic)

    model = ScoreModel(network=Dropped(), sde=SDES["vp"])
    x, t = jnp.ones((1, 100)), jnp.asarray(0.5)
    np.testing.assert_array_equal(model.predict({}, x, t), x)
    dropped = model.predict({}, x, t, dropout_key=jax.random.key(0))
    assert set(np.unique(dropped)) == {0.0, 2.0}


@pytest.mark.parametrize("deviation", [0.0, -1.0, float("nan")])
def test_a_wrong_deviation_is_refused(deviation):
    with pytest.raises(
        ValueError, match=r"^`data_deviation` must be positive: got data_deviation="
    ):
        ScoreModel(network=Affine(), sde=SDES["vp"], data_deviation=deviation)


def test_one_level_is_refused():
    with pytest.raises(ValueError, match=r"^`levels` must be at least 2: got levels=1\.$"):
        DescendingIndex(levels=1)


def test_models_are_values():
    assert ScoreModel(network=Affine(), sde=SDES["vp"]) == ScoreModel(
        network=Affine(), sde=SDES["vp"]
    )
    assert hash(ScoreModel(network=Affine(), sde=SDES["vp"])) == hash(
        ScoreModel(network=Affine(), sde=SDES["vp"])
    )
