"""The regression of plain denoisers where its minimum is known: affine ones of Gaussian data."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import DEVIATION, MEAN, SDES, keys

from sde_jax.arrays import strided_parts
from sde_jax.nets.mlp import MLPSpec
from sde_jax.objectives import DenoiserRegression, NetworkDenoiser
from sde_jax.randomness import example_seeds
from sde_jax.sampling import Heun, KarrasGrid, PredictorCorrector
from sde_jax.score import BlindDenoiserScore, DenoiserScore, LogNoiseLevel
from sde_jax.sde import VE

LOW, HIGH, SCALE = 0.05, 3.0, 0.3
RANGE = {"level_min": LOW, "level_max": HIGH, "data_deviation": SCALE}
V = DEVIATION**2


class Affine(nn.Module):
    """``gain x + shift``, of what the network is shown."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        gain = self.param("gain", nn.initializers.constant(0.1), ())
        shift = self.param("shift", nn.initializers.constant(0.2), ())
        return gain * x + shift


class Wiener(nn.Module):
    """The noise that is most likely in y, of a network told the logarithm of its level."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        gain = self.param("gain", nn.initializers.ones, ())
        level = jnp.exp(time)[:, None]
        y = x * jnp.hypot(SCALE, level)
        return gain * level * (y - MEAN) / (V + level**2)


class Seen(nn.Module):
    """Returns the time, or what it is shown, for the tests to see."""

    time: bool

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        return jnp.broadcast_to(time[:, None], x.shape) if self.time else x


class Dropped(nn.Module):
    """Drops half of its input, times ``gain``."""

    gain: float = 1.0

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        return nn.Dropout(0.5)(self.gain * x, deterministic=deterministic)


def data(key, count):
    return MEAN + DEVIATION * jax.random.normal(key, (count, 2))


def check_minimum(mean_loss, params, expected, key):
    """Value as derived and gradient 0, within 5 standard errors over 64 batches."""
    values, gradients = jax.jit(
        lambda keys: jax.vmap(lambda key: jax.value_and_grad(mean_loss)(params, key))(keys)
    )(keys(key, 64))
    for found, right in [(values, expected), *((g, 0.0) for g in gradients.values())]:
        z = (found.mean() - right) / (found.std() / np.sqrt(64))
        assert abs(z) < 5, (z, found.mean(), right)


def test_at_one_level_the_best_affine_denoiser_is_the_wiener_filter(key):
    """``m + v / (v + level^2) (y - m)``, of error ``v level^2 / (v + level^2)``."""
    level = 0.3
    objective = DenoiserRegression(network=Affine(), noise_conditional=True, **RANGE)

    def mean_loss(params, key):
        key_data, key_noise = jax.random.split(key)
        x0, noise = data(key_data, 256), jax.random.normal(key_noise, (256, 2))
        return objective.losses_at(params, x0, jnp.full(256, level), noise).mean()

    slope = level / (V + level**2)
    params = {"gain": slope * np.hypot(SCALE, level), "shift": -slope * MEAN}
    check_minimum(mean_loss, params, V * level**2 / (V + level**2), key)


def test_told_the_level_the_wiener_filters_of_all_levels_are_best(key):
    """Error: the mean of ``v level^2 / (v + level^2)`` over the logarithm of the level."""
    objective = DenoiserRegression(
        network=Wiener(), noise_conditional=True, time_condition=LogNoiseLevel(), **RANGE
    )
    expected = 0.5 * V * np.log((V + HIGH**2) / (V + LOW**2)) / np.log(HIGH / LOW)
    check_minimum(mean_loss_of(objective), {"gain": 1.0}, expected, key)


def test_blind_the_best_gain_is_that_of_the_average_level(key):
    """Among ``f(y) = g y``, ``g = E x_0^2 / (E x_0^2 + E level^2)``, of error ``g E level^2``."""
    objective = DenoiserRegression(network=Affine(), noise_conditional=False, **RANGE)
    square = MEAN**2 + V
    noise = (HIGH**2 - LOW**2) / (2 * np.log(HIGH / LOW))
    gain = square / (square + noise)
    loss = mean_loss_of(objective)

    def mean_loss(params, key):
        return loss({**params, "shift": 0.0}, key)

    check_minimum(mean_loss, {"gain": 1 - gain}, gain * noise, key)


def mean_loss_of(objective):
    def mean_loss(params, key):
        key_data, key_loss = jax.random.split(key)
        return objective.losses(params, example_seeds(key_loss, 256), data(key_data, 256)).mean()

    return mean_loss


def test_the_network_is_told_the_logarithm_of_the_level():
    """Times run from 0 to 999; blind, they are 0. The output is the noise over level or size."""
    y, levels = jnp.full((3, 2), 4.0), jnp.asarray([LOW, np.sqrt(LOW * HIGH), HIGH])
    conditional = DenoiserRegression(network=Seen(time=True), noise_conditional=True, **RANGE)
    times = (y - conditional.denoise({}, y, levels)) / levels[:, None]
    np.testing.assert_allclose(times[:, 0], [0, 499.5, 999], rtol=1e-4, atol=1e-3)
    blind = DenoiserRegression(network=Seen(time=True), noise_conditional=False, **RANGE)
    np.testing.assert_array_equal(blind.denoise({}, y), y)


def test_the_network_is_shown_data_of_about_unit_size():
    y, levels = jnp.asarray([[30.0, -40.0], [0.1, 0.2]]), jnp.asarray([2.0, 0.1])
    conditional = DenoiserRegression(network=Seen(time=False), noise_conditional=True, **RANGE)
    shown = (y - conditional.denoise({}, y, levels)) / levels[:, None]
    np.testing.assert_allclose(shown, y / np.hypot(SCALE, levels)[:, None], rtol=1e-5)
    # sizes of y: sqrt((30^2 + 40^2) / 2) and sqrt((.1^2 + .2^2) / 2), beside .3
    blind = DenoiserRegression(network=Seen(time=False), noise_conditional=False, **RANGE)
    sizes = np.sqrt([[0.09 + 1250.0], [0.09 + 0.025]])
    shown = (y - blind.denoise({}, y)) / sizes
    np.testing.assert_allclose(shown, y / sizes, rtol=1e-5)


@pytest.mark.parametrize("conditional", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_parts_are_the_whole_and_have_dropout_of_their_own(conditional, key):
    objective = DenoiserRegression(network=Dropped(), noise_conditional=conditional, **RANGE)

    @functools.partial(jax.jit, static_argnums=1)
    def losses(key, deterministic):
        given = example_seeds(key, 6), data(key, 6)
        parts = [given, strided_parts(given, 2)[1]]
        return [objective.losses({}, *part, deterministic=deterministic) for part in parts]

    for deterministic in (True, False):
        whole, part = losses(key, deterministic)
        assert np.allclose(part, whole[1::2], rtol=1e-5) == deterministic


def test_no_two_parts_drop_the_same(key):
    """One number per example; the gain makes the losses of dropped examples large."""
    objective = DenoiserRegression(network=Dropped(gain=1e6), noise_conditional=False, **RANGE)
    given = example_seeds(key, 64), jnp.ones((64, 1))
    losses = jax.jit(objective.losses)
    parts = [np.asarray(losses({}, *part)) > 1e6 for part in strided_parts(given, 2)]
    kept = np.stack(parts)
    assert kept.sum(axis=1).min() > 8 and kept.sum(axis=1).max() < 24
    assert (kept[0] != kept[1]).any()


def test_levels_are_drawn_evenly_in_their_logarithm(key):
    """The loss of the denoiser y is ``level^2 noise^2``; it shows the quantiles of the levels."""
    objective = DenoiserRegression(network=Seen(time=True), noise_conditional=False, **RANGE)
    count = 2000
    losses = jax.jit(objective.losses)({}, example_seeds(key, count), jnp.zeros((count, 400)))
    fractions = (np.log(np.sqrt(losses)) - np.log(LOW)) / np.log(HIGH / LOW)
    for quantile in (0.1, 0.5, 0.9):
        share = (fractions < quantile).mean()
        z = (share - quantile) / np.sqrt(quantile * (1 - quantile) / count)
        assert abs(z) < 5, z


@pytest.mark.slow("test_told_the_level_the_wiener_filters_of_all_levels_are_best")
def test_a_trained_denoiser_samples_the_data(key):
    """1000 steps on N(.7, .4^2) in the plane: an error within 2 % of the least that there is.

    Samples are within .05 of the mean and 10 % of the deviation that the exact flow carries the
    prior of level 5 to, .64 and .399.
    """
    objective = DenoiserRegression(
        network=MLPSpec(width=32, depth=1).build(),
        noise_conditional=True,
        level_min=0.02,
        level_max=5.0,
        data_deviation=DEVIATION,
    )
    key_init, key_train, key_test, key_samples = jax.random.split(key, 4)
    params = objective.init(key_init, (2,))
    optimizer, loss = optax.adam(optax.cosine_decay_schedule(0.02, 1000)), mean_loss_of(objective)

    def step(carry, key):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params, key), state)
        return (optax.apply_updates(params, updates), state), None

    train = jax.jit(lambda carry, keys: jax.lax.scan(step, carry, keys)[0][0])
    params = train((params, optimizer.init(params)), keys(key_train, 1000))
    found = jax.jit(jax.vmap(loss, in_axes=(None, 0)))(params, keys(key_test, 200)).mean()
    least = 0.5 * V * np.log((V + 5.0**2) / (V + 0.02**2)) / np.log(5.0 / 0.02)
    np.testing.assert_allclose(found, least, rtol=0.02)
    sde = VE(sigma_min=0.02, sigma_max=5.0)
    sampler = PredictorCorrector(grid=KarrasGrid(steps=20, last=0.03), predictor=Heun())
    draw = jax.jit(lambda score: sampler(keys(key_samples, 1000), score, sde, (2,)).x)
    x = draw(DenoiserScore(objective.denoiser(params), sde))
    left = np.sqrt(V / (V + 5.0**2))
    np.testing.assert_allclose(x.mean(axis=0), MEAN * (1 - left), atol=0.05)
    np.testing.assert_allclose(x.std(axis=0), 5.0 * left, rtol=0.1)


@pytest.mark.parametrize("conditional", [True, False])
def test_a_denoiser_is_a_pytree_of_its_parameters(conditional):
    objective = DenoiserRegression(network=Affine(), noise_conditional=conditional, **RANGE)
    traces = []
    sde, t = SDES["vp"], jnp.asarray(0.5)
    adapter = DenoiserScore if conditional else BlindDenoiserScore

    def evaluate(score, x):
        traces.append(None)
        return score(x, t)

    compiled, x = jax.jit(evaluate), jnp.ones((2, 3))
    y = x / sde.alpha(t)
    level = jnp.broadcast_to(sde.noise_to_signal(t), (2,))
    for gain in (0.0, 1.0):
        params = {"gain": jnp.asarray(gain), "shift": jnp.asarray(0.1)}
        score = adapter(objective.denoiser(params), sde)
        residual = objective.denoise(params, y, level if conditional else None) - y
        expected = residual * sde.alpha(t) / sde.sigma(t) ** 2
        np.testing.assert_allclose(compiled(score, x), expected, rtol=1e-4)
    assert len(traces) == 1


def test_parameters_are_the_networks(key):
    network = MLPSpec(width=8, depth=1).build()
    objective = DenoiserRegression(network=network, noise_conditional=True, **RANGE)
    expected = jax.jit(network.init)(key, jnp.zeros((1, 2)), jnp.zeros(1))["params"]
    found = jax.jit(objective.init, static_argnums=1)(key, (2,))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("conditional", [True, False])
def test_a_level_too_much_or_too_little_is_refused(conditional):
    network = Seen(time=True)
    objective = DenoiserRegression(network=network, noise_conditional=conditional, **RANGE)
    denoiser = NetworkDenoiser({}, objective)
    y = jnp.ones((1, 2))
    arguments = (y,) if conditional else (y, jnp.ones(1))
    rule = "given" if conditional else "omitted"
    with pytest.raises(
        ValueError, match=rf"^`level` must be {rule} for noise_conditional={conditional}\.$"
    ):
        denoiser(*arguments)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level_min": 0.0}, r"^`level_min` must be positive: got level_min=0\.0, level_max=3\.0"),
        ({"level_max": 0.05}, r"^`level_max` must exceed `level_min`: .*Did you swap them\?$"),
        ({"data_deviation": 0.0}, r"^`data_deviation` must be positive: got data_deviation=0\.0"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DenoiserRegression(network=Affine(), noise_conditional=True, **{**RANGE, **settings})
