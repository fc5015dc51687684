"""Implicit and sliced score matching: against Jacobians, closed forms, and the denoising loss."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import DEVIATION, MEAN, SDES, keys

from sde_jax.arrays import expand_like, strided_parts
from sde_jax.data.source import Batch
from sde_jax.nets.ncsnpp import NCSNppSpec
from sde_jax.objectives import (
    DenoisingScoreMatching,
    ImplicitScoreMatching,
    LikelihoodTimes,
    LikelihoodWeighting,
    MinSNRWeighting,
    NoiseWeighting,
    SlicedScoreMatching,
    UniformTimes,
)
from sde_jax.randomness import example_seeds
from sde_jax.score import (
    DataPrediction,
    EDMPrediction,
    NetworkScore,
    NoisePrediction,
    ScaledTime,
    ScoreModel,
    ScorePrediction,
    VelocityPrediction,
)
from sde_jax.sde import DDPMChain
from sde_jax.training.learner import gradient_learner

VP = SDES["vp"]
BATCHES = 64
PROJECTIONS = ["rademacher", "gaussian", "sphere"]
VARIANTS = list(itertools.product(PROJECTIONS, [True, False], [1, 3]))


class Curved(nn.Module):
    """A network of a few numbers, whose Jacobian is neither constant nor symmetric."""

    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        h = nn.Dense(5)(x) + jnp.sin(time)[:, None]
        if condition is not None:
            h = h + condition[:, None]
        h = nn.Dropout(self.dropout)(jnp.tanh(h), deterministic=deterministic)
        return nn.Dense(x.shape[-1])(h)


class Affine(nn.Module):
    """``gain`` times the noise that is best predicted of N(MEAN, DEVIATION^2), plus ``shift``."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        gain = self.param("gain", nn.initializers.constant(0.5), ())
        shift = self.param("shift", nn.initializers.constant(0.5), ())
        alpha, sigma = (expand_like(part(time), x) for part in (VP.alpha, VP.sigma))
        offset = (x - alpha * MEAN) / (alpha**2 * DEVIATION**2 + sigma**2)
        return gain * sigma * offset + shift


def model_of(network, sde=VP, **settings):
    return ScoreModel(network=network, sde=sde, time_condition=ScaledTime(scale=1.0), **settings)


def random_parameters(model, *shape):
    """Parameters of which none is zero."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), shape))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(scale=0.4, size=leaf.shape).astype("f4"), shapes)


def lopsided(key, *shape):
    return MEAN + DEVIATION * jax.random.normal(key, shape)


def trace_and_square(score, x, t):
    """Returns tr J and |score|^2 of each example from its whole Jacobian, in reverse mode."""

    def one(x, t):
        jacobian = jax.jacrev(lambda x: score(x[None], t[None])[0])(x)
        return jnp.trace(jacobian.reshape(x.size, x.size)), (score(x[None], t[None]) ** 2).sum()

    return jax.vmap(one)(x, t)


@pytest.mark.parametrize(
    ("name", "weighting", "settings"),
    [
        ("vp", NoiseWeighting(), {"parameterization": NoisePrediction()}),
        ("ve", NoiseWeighting(), {"parameterization": DataPrediction(), "data_deviation": 0.5}),
        pytest.param(
            "subvp",
            LikelihoodWeighting(),
            {"parameterization": VelocityPrediction()},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "ou",
            MinSNRWeighting(),
            {"parameterization": ScorePrediction()},
            marks=pytest.mark.slow,
        ),
        ("cosine", LikelihoodWeighting(), {"parameterization": EDMPrediction()}),
        ("vp", LikelihoodWeighting(), {"noise_levels": DDPMChain(levels=50)}),
    ],
)
def test_the_implicit_loss_is_the_trace_of_the_whole_jacobian(name, weighting, settings, key):
    """``w 2 sigma^2 (|score|^2 / 2 + tr J) / D`` of every parameterization and process."""
    sde = SDES[name]
    model = model_of(Curved(), sde, **settings)
    params, t = random_parameters(model, 3), jnp.asarray([0.1, 0.4, 0.6, 0.9])
    x0, noise = jax.random.normal(key, (2, 4, 3))
    objective = ImplicitScoreMatching(model=model, weighting=weighting)
    found = jax.jit(objective.losses_at)(params, x0, t, noise)
    levels = settings.get("noise_levels")
    alpha = sde.alpha(t) if levels is None else levels.alpha(sde, t)
    sigma = sde.sigma(t) if levels is None else levels.sigma(sde, t)
    x = alpha[:, None] * x0 + sigma[:, None] * noise
    traces, squares = jax.jit(trace_and_square)(NetworkScore(params, model), x, t)
    factors = np.asarray(weighting(sde, t) * 2 * sigma**2)
    expected = factors * (0.5 * np.asarray(squares) + traces) / 3
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def differences():
    """Losses and their gradients less those of the implicit loss, for every other objective, at
    examples, times and noise that they share: the means of 64 batches of 256."""
    settings = {"model": model_of(Curved()), "weighting": MinSNRWeighting()}
    params = random_parameters(settings["model"], 3)

    def one(key):
        key_data, key_time, key_noise, key_directions = jax.random.split(key, 4)
        x0, noise = lopsided(key_data, 256, 3), jax.random.normal(key_noise, (256, 3))
        t = jax.random.uniform(key_time, (256,), minval=0.05)

        def estimate(objective, *directions):
            def loss(params):
                return objective.losses_at(params, x0, t, noise, *directions).mean()

            return jax.value_and_grad(loss)(params)

        found, keys_directions = [], keys(key_directions, 256)
        for projection, variance_reduced, slices in VARIANTS:
            objective = SlicedScoreMatching(
                **settings, projection=projection, variance_reduced=variance_reduced, slices=slices
            )
            found.append(estimate(objective, objective.directions(keys_directions, x0)))
        loss, gradient = estimate(DenoisingScoreMatching(**settings))
        found.append((loss - settings["weighting"](VP, t).mean(), gradient))
        exact = estimate(ImplicitScoreMatching(**settings))
        return [jax.tree.map(jnp.subtract, other, exact) for other in found]

    found = jax.jit(lambda keys: jax.lax.map(one, keys))(
        jax.random.split(jax.random.key(7), BATCHES)
    )
    return dict(zip([*VARIANTS, "denoising"], jax.device_get(found), strict=True))


@pytest.mark.slow("test_an_affine_score_of_a_gaussian_has_a_closed_form")
@pytest.mark.parametrize("name", [*VARIANTS, "denoising"], ids=str)
def test_losses_and_gradients_have_the_expectation_of_the_implicit(name, differences):
    """Denoising exceeds it by the weight. 16,384 examples, within 5 standard errors."""
    loss, gradients = differences[name]
    numbers = [loss.reshape(BATCHES, 1)]
    numbers += [leaf.reshape(BATCHES, -1) for leaf in jax.tree.leaves(gradients)]
    numbers = np.concatenate(numbers, axis=1).astype(np.float64)
    errors = numbers.std(axis=0, ddof=1) / np.sqrt(BATCHES)
    assert (errors > 1e-6).sum() > 30
    z = numbers.mean(axis=0) / np.maximum(errors, 1e-7)
    assert np.abs(z).max() < 5, z


@pytest.mark.slow("test_an_affine_score_of_a_gaussian_has_a_closed_form")
def test_more_slices_and_reduced_variance_are_less_noisy(differences):
    """Three slices have a third of the variance of one, signs less than a Gaussian, and signs with
    the whole square less than with that of a slice."""
    variance = {name: loss.var() for name, (loss, _) in differences.items()}
    for projection, variance_reduced in itertools.product(PROJECTIONS, [True, False]):
        one, three = (variance[projection, variance_reduced, slices] for slices in (1, 3))
        assert one / three == pytest.approx(3, rel=0.5)
    assert variance["rademacher", True, 1] < variance["rademacher", False, 1]
    assert variance["rademacher", True, 1] < variance["gaussian", True, 1]


@pytest.mark.parametrize(
    ("projection", "variance_reduced"),
    [
        *(("rademacher", True), ("gaussian", True), ("sphere", False)),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("rademacher", False), ("gaussian", False), ("sphere", True)]
        ),
    ],
)
def test_in_one_dimension_a_unit_slice_is_exact(projection, variance_reduced, key):
    """Signs, and the sphere of radius 1; the control is the Gaussian."""
    model = model_of(Curved())
    params, t = random_parameters(model, 1), jnp.linspace(0.1, 1.0, 16)
    x0, noise = lopsided(key, 2, 16, 1)
    sliced = SlicedScoreMatching(
        model=model, projection=projection, variance_reduced=variance_reduced, slices=2
    )
    directions = jax.jit(sliced.directions)(keys(key, 16), x0)
    found = jax.jit(sliced.losses_at)(params, x0, t, noise, directions)
    expected = jax.jit(ImplicitScoreMatching(model=model).losses_at)(params, x0, t, noise)
    exact = np.allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert exact == (projection != "gaussian")


SIGNS = np.array(list(itertools.product([-1.0, 1.0], repeat=6)), np.float32)


def closed_form(t, gain, shift, weighting):
    """``w 2 sigma^2 (E score^2 / 2 + score')`` where x has the variance V and the score is
    ``-gain (x - alpha m) / V - shift / sigma``."""
    alpha, sigma = VP.alpha(t), VP.sigma(t)
    total = alpha**2 * DEVIATION**2 + sigma**2
    square = gain**2 / total + (shift / sigma) ** 2
    return weighting(VP, t) * 2 * sigma**2 * (0.5 * square - gain / total)


value_and_slopes = jax.jit(jax.value_and_grad(closed_form, (1, 2)), static_argnums=3)


@pytest.mark.parametrize(
    "objective",
    [
        ImplicitScoreMatching(model=model_of(Affine()), weighting=LikelihoodWeighting()),
        *(
            SlicedScoreMatching(
                model=model_of(Affine()), weighting=LikelihoodWeighting(), variance_reduced=reduced
            )
            for reduced in (True, False)
        ),
    ],
    ids=["implicit", "reduced", "plain"],
)
def test_an_affine_score_of_a_gaussian_has_a_closed_form(objective):
    """In the plane, exactly: the loss is quadratic in data and noise, so that its mean over all
    signs of both, and of the direction, is its expectation. At the true score, gain 1 and shift 0,
    the gradient is zero."""
    x0, noise, direction = (SIGNS[:, i : i + 2] for i in (0, 2, 4))
    x0, directions = MEAN + DEVIATION * x0, direction[:, None]
    directions = (directions,) if isinstance(objective, SlicedScoreMatching) else ()

    @jax.jit
    @jax.value_and_grad
    def mean(params, t):
        return objective.losses_at(params, x0, jnp.full(64, t), noise, *directions).mean()

    for gain, shift, t in [(1.0, 0.0, 0.05), (1.0, 0.0, 0.8), (0.6, 0.0, 0.4), (1.3, -0.4, 0.9)]:
        arguments = {"gain": gain, "shift": shift}, t
        value, gradient = mean(*arguments)
        expected, slopes = value_and_slopes(t, gain, shift, LikelihoodWeighting())
        np.testing.assert_allclose(value, expected, rtol=1e-4)
        found = gradient["gain"], gradient["shift"]
        np.testing.assert_allclose(found, slopes, rtol=1e-4, atol=1e-4)
        if gain == 1.0:
            np.testing.assert_allclose(found, [0.0, 0.0], atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        (ImplicitScoreMatching, UniformTimes(t_min=0.05)),
        (SlicedScoreMatching, LikelihoodTimes(t_min=0.05)),
        pytest.param(ImplicitScoreMatching, LikelihoodTimes(t_min=0.05), marks=pytest.mark.slow),
        pytest.param(SlicedScoreMatching, UniformTimes(t_min=0.05), marks=pytest.mark.slow),
    ],
)
def test_losses_estimate_the_integral_over_time(kind, times, key):
    """The closed form, integrated: 64 batches of 512 within 5 standard errors."""
    objective = kind(model=model_of(Affine()), times=times, weighting=LikelihoodWeighting())
    params = {"gain": 0.6, "shift": 0.2}

    @jax.jit
    @jax.vmap
    def one(key):
        key_data, key_loss = jax.random.split(key)
        return objective.losses(
            params, example_seeds(key_loss, 512), lopsided(key_data, 512, 2)
        ).mean()

    estimates = np.asarray(one(jax.random.split(key, 64)), np.float64)
    grid = np.linspace(0.05, 1.0, 20_001, dtype=np.float32)
    values = jax.jit(closed_form, static_argnums=3)(grid, 0.6, 0.2, LikelihoodWeighting())
    expected = np.trapezoid(np.asarray(values, np.float64), grid) / 0.95
    z = (estimates.mean() - expected) / (estimates.std(ddof=1) / 8)
    assert abs(z) < 5, (z, estimates.mean(), expected)


@pytest.mark.slow("test_the_implicit_loss_is_the_trace_of_the_whole_jacobian")
def test_a_unet(key):
    """With attention and dropout, at images of 4 x 4: losses are those of the whole Jacobian in
    reverse mode, and the sliced loss changes along its gradient as the gradient says."""
    spec = NCSNppSpec(channels=4, multipliers=(1,), blocks_per_level=1, dropout=0.3)
    model = model_of(spec.build())
    params, t = random_parameters(model, 4, 4, 1), jnp.asarray([0.2, 0.7])
    x0, noise = jax.random.normal(key, (2, 2, 4, 4, 1))
    dropout_key = jax.random.fold_in(key, 1)
    implicit = ImplicitScoreMatching(model=model)
    sliced = SlicedScoreMatching(model=model, variance_reduced=False, slices=2)
    directions = sliced.directions(keys(jax.random.fold_in(key, 2), 2), x0)

    @jax.jit
    @jax.value_and_grad
    def by_slices(params):
        losses = sliced.losses_at(params, x0, t, noise, directions, dropout_key=dropout_key)
        return losses.mean()

    @jax.jit
    def by_trace_and_jacobian(params):
        alpha, sigma = model.coefficients(t, x0)

        def score(x):
            return -model.predict(params, x, t, dropout_key=dropout_key) / sigma

        x = alpha * x0 + sigma * noise
        found = implicit.losses_at(params, x0, t, noise, dropout_key=dropout_key)
        return found, score(x).reshape(2, 16), jax.jacrev(score)(x).reshape(2, 16, 2, 16)

    found, score, jacobian = by_trace_and_jacobian(params)
    factors = 2 * np.asarray(VP.sigma(t)) ** 2 / 16
    blocks = np.einsum("ninj->nij", jacobian)
    traces = np.trace(blocks, axis1=1, axis2=2)
    squares = np.square(score).sum(axis=1)
    np.testing.assert_allclose(found, factors * (0.5 * squares + traces), rtol=1e-4)
    v = np.asarray(directions).reshape(2, 2, 16)
    slices = 0.5 * np.einsum("nsi,ni->ns", v, score) ** 2
    slices += np.einsum("nsi,nij,nsj->ns", v, blocks, v)
    value, gradient = by_slices(params)
    np.testing.assert_allclose(value, (factors * slices.mean(axis=1)).mean(), rtol=1e-4)
    length = optax.tree.norm(gradient)
    step = jax.tree.map(lambda g: 0.01 * g / length, gradient)
    ahead, _ = by_slices(jax.tree.map(jnp.add, params, step))
    behind, _ = by_slices(jax.tree.map(jnp.subtract, params, step))
    np.testing.assert_allclose((ahead - behind) / 0.02, length, rtol=0.02)


OBJECTIVES = {
    "implicit": ImplicitScoreMatching(model=model_of(Curved(dropout=0.5))),
    "sliced": SlicedScoreMatching(model=model_of(Curved(dropout=0.5)), slices=2),
}
each_objective = pytest.mark.parametrize(
    "objective",
    [pytest.param(OBJECTIVES["implicit"], marks=pytest.mark.slow), OBJECTIVES["sliced"]],
    ids=OBJECTIVES,
)


@pytest.mark.slow(
    "tests/test_randomness.py::test_the_loss_of_an_example_does_not_depend_on_the_size_of_the_batch"
)
@each_objective
def test_the_losses_of_a_part_are_those_of_the_whole(objective, key):
    """Each example at its own time, noise, directions and condition; spread over devices, too."""
    params = random_parameters(objective.model, 3)
    losses = jax.jit(functools.partial(objective.losses, deterministic=True))

    @jax.jit
    def given(key):
        whole = example_seeds(key, 16), lopsided(key, 16, 3), jnp.linspace(-1.0, 1.0, 16)
        return whole, strided_parts(whole, 2)

    (seeds, x0, condition), parts = given(key)
    whole = losses(params, seeds, x0, condition)
    for index, part in enumerate(parts):
        found = losses(params, *part)
        np.testing.assert_allclose(found, whole[index::2], rtol=1e-5, atol=1e-6)
    spread = jax.NamedSharding(jax.make_mesh((8,), ("data",)), jax.P("data"))
    apart = losses(params, *jax.device_put((seeds, x0, condition), spread))
    np.testing.assert_allclose(apart, whole, rtol=1e-5, atol=1e-6)
    assert not np.allclose(losses(params, seeds, x0, condition + 1), whole)


@each_objective
def test_dropout_is_the_seeds(objective, key):
    params = random_parameters(objective.model, 3)
    directions = (jnp.ones((8, 2, 3)),) if isinstance(objective, SlicedScoreMatching) else ()

    @jax.jit
    def run(key, dropout_key):
        x0, seeds = lopsided(key, 8, 3), example_seeds(key, 8)
        drawn = [objective.losses(params, seeds, x0, deterministic=on) for on in (False, True)]
        arguments = (params, x0, jnp.full(8, 0.5), x0, *directions)
        still = objective.losses_at(*arguments)
        return drawn, still, objective.losses_at(*arguments, dropout_key=dropout_key)

    ((noisy, quiet), still, first), (again, _, other) = (
        run(key, jax.random.key(seed)) for seed in (0, 1)
    )
    np.testing.assert_array_equal(noisy, again[0])
    assert not np.allclose(noisy, quiet)
    assert not np.allclose(still, first)
    assert not np.allclose(first, other)


@each_objective
def test_a_learner_finds_the_true_score(objective, key):
    """Gain 1 and shift 0 of a Gaussian, from .5 and .5, over parts of the batch."""
    times = UniformTimes(t_min=0.05)
    kind = type(objective)(model=model_of(Affine()), times=times)

    def losses(params, seeds, batch, **options):
        return kind.losses(params, seeds, batch.x, **options)

    learner = gradient_learner(
        lambda key: kind.model.init(key, (2,)),
        losses,
        optax.adam(0.03),
        ema_decay=0.95,
        accumulate=2,
    )

    def step(state, key):
        key_data, key_update = jax.random.split(key)
        return learner.update(state, key_update, Batch(lopsided(key_data, 256, 2), None))

    state, _ = jax.jit(
        lambda key: jax.lax.scan(step, learner.init(key), jax.random.split(key, 200))
    )(key)
    assert state.ema_params["gain"] == pytest.approx(1.0, abs=0.05)
    assert state.ema_params["shift"] == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_directions_are_of_their_kind(projection, key):
    objective = SlicedScoreMatching(model=model_of(Curved()), projection=projection, slices=2)
    directions = np.asarray(jax.jit(objective.directions)(keys(key, 4000), jnp.zeros((4000, 3, 1))))
    assert directions.shape == (4000, 2, 3, 1)
    lengths = (directions**2).sum(axis=(2, 3))
    assert np.allclose(lengths, 3.0, rtol=1e-5) == (projection != "gaussian")
    assert (np.abs(directions) == 1).all() == (projection == "rademacher")
    products = np.einsum("nsic,nsjc->nsij", directions, directions).reshape(8000, 3, 3)
    error = np.maximum(products.std(axis=0), 1e-5) / np.sqrt(8000)
    assert (np.abs(products.mean(axis=0) - np.eye(3)) < 5 * error).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slices": 0}, r"^`slices` must be at least 1: got slices=0\.$"),
        (
            {"projection": "axes"},
            r"^`projection` must be one of rademacher, gaussian, sphere: got projection='axes'\.$",
        ),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SlicedScoreMatching(model=model_of(Curved()), **settings)
