"""Known data: where they are exact, what replacement draws, and what repetition mends."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import posteriors
import pytest
from cases import SDES, gaussian, keys, slow_but

from sde_jax.sampling import (
    DDIM,
    Ancestral,
    Constrained,
    EulerMaruyama,
    Heun,
    KarrasGrid,
    KnownChannel,
    KnownPixels,
    Langevin,
    LogSNRGrid,
    PredictorCorrector,
    ReverseDiffusion,
    UniformGrid,
)
from sde_jax.score import GaussianMixture, MixtureScore
from sde_jax.sde import VP

SAMPLERS = {
    "em": PredictorCorrector(grid=UniformGrid(steps=20), predictor=EulerMaruyama()),
    "pc": PredictorCorrector(
        grid=UniformGrid(steps=20), predictor=ReverseDiffusion(), corrector=Langevin(steps=2)
    ),
    "ddim": PredictorCorrector(grid=LogSNRGrid(steps=20), predictor=DDIM()),
    "heun": PredictorCorrector(grid=KarrasGrid(steps=10), predictor=Heun()),
    "mean": PredictorCorrector(grid=UniformGrid(steps=20), predictor=Ancestral(), end="mean"),
}
QUICK = [("pc", "ve")]
SLOW = [
    *((name, "vp") for name in SAMPLERS),
    *(("pc", name) for name in SDES if name != "vp"),
]
CASES = QUICK + [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW if case not in QUICK]


@functools.partial(jax.jit, static_argnums=(3, 4))
def compiled(sampler, keys, score, sde, shape):
    return sampler(keys, score, sde, shape)


def draw(sampler, sde, key, count=8, shape=(3,), score=None):
    score = MixtureScore(gaussian(int(np.prod(shape))), sde) if score is None else score
    return compiled(sampler, keys(key, count), score, sde, shape)


@pytest.mark.parametrize("sampler, sde", CASES)
def test_masks_of_no_and_of_all_pixels_are_the_two_limits(sampler, sde, key):
    sampler, sde = SAMPLERS[sampler], SDES[sde]
    data = jax.random.normal(key, (8, 3))
    plain = jax.jit(lambda keys: sampler(keys, MixtureScore(gaussian(3), sde), sde, (3,)))(
        keys(key, 8)
    )
    nothing = draw(
        Constrained(sampler=sampler, constraint=KnownPixels(data=data, mask=jnp.zeros((8, 3)))),
        sde,
        key,
    )
    np.testing.assert_allclose(nothing.x, plain.x, rtol=0, atol=2e-6)
    assert (nothing.nfe == plain.nfe).all()
    everything = draw(
        Constrained(sampler=sampler, constraint=KnownPixels(data=data, mask=jnp.ones((8, 3)))),
        sde,
        key,
    )
    assert (everything.x == data).all()


@functools.partial(jax.jit, static_argnums=0)
def coefficients(sde, t):
    return sde.alpha(t), sde.sigma(t)


@pytest.mark.parametrize("name", slow_but("ve"))
def test_every_move_leaves_known_data_noised_to_where_it_goes(name, key):
    """By moves that look: what the next move is given is of the time that it is given."""
    sde, count = SDES[name], 4000
    data = jnp.full((count, 2), 0.8)
    seen = []

    class Looking(Ancestral):
        def __call__(self, noise, score, sde, x, t, s):
            jax.debug.callback(lambda x, t: seen.append((np.asarray(x), float(t))), x, t)
            return super().__call__(noise, score, sde, x, t, s)

    class LookingLangevin(Langevin):
        def __call__(self, noise, score, sde, x, t, s):
            jax.debug.callback(lambda x, t: seen.append((np.asarray(x), float(t))), x, t)
            return super().__call__(noise, score, sde, x, t, s)

    sampler = PredictorCorrector(
        grid=LogSNRGrid(steps=4), predictor=Looking(), corrector=LookingLangevin()
    )
    mask = jnp.asarray([[1.0, 0.0]])
    constrained = Constrained(
        sampler=sampler, constraint=KnownPixels(data=data, mask=mask), repeats=2
    )
    draw(constrained, sde, key, count, (2,)).x.block_until_ready()
    jax.effects_barrier()
    assert len(seen) == 12
    for x, t in seen[1:]:
        alpha, sigma = map(float, coefficients(sde, t))
        z = (x[:, 0] - 0.8 * alpha).mean() / sigma * count**0.5
        assert abs(z) < 5, (t, z)
        assert abs(x[:, 0].std() / sigma - 1) < 5 / (2 * count) ** 0.5, t


def test_grey_of_a_coloured_image_is_what_was_given(key):
    weights = jnp.asarray([0.299, 0.587, 0.114])
    data = jax.random.uniform(key, (5, 4, 4, 3), minval=-1.0)
    constraint = KnownChannel(data=data, direction=weights)
    sampler = Constrained(sampler=SAMPLERS["pc"], constraint=constraint)
    x = draw(sampler, VP(), key, 5, (4, 4, 3)).x
    grey = np.asarray(weights, np.float64)
    np.testing.assert_allclose(x @ grey, data @ grey, rtol=0, atol=1e-6)
    assert np.abs(np.asarray(x - data)).mean() > 0.1


def test_only_the_given_channel_is_touched(key):
    """Across the direction nothing changes, for images whose channels are independent."""
    x, known = jax.random.normal(key, (2, 6, 2, 2, 3))
    direction = np.array([1.0, 2.0, -2.0])
    constraint = KnownChannel(data=known, direction=jnp.asarray(direction, jnp.float32))
    inserted = np.asarray(constraint.insert(known, x), np.float64)
    basis, _ = np.linalg.qr(np.column_stack([direction, np.eye(3)[:, :2]]))
    found = inserted @ basis
    np.testing.assert_allclose(found[..., 0], np.asarray(known) @ basis[:, 0], atol=1e-6)
    np.testing.assert_allclose(found[..., 1:], np.asarray(x) @ basis[:, 1:], atol=1e-6)


def test_replacement_is_biased_and_its_repetition_less():
    """Correlation .9, in 1000 steps: mean .63 and deviation .56 of the second coordinate, and ever
    nearer to the truth, .900 and .436, with repetition."""
    covariance = posteriors.correlated(0.9)
    moments = [
        np.array(posteriors.recursion(covariance, "replacement", repeats=repeats))[:, 1]
        for repeats in (1, 3, 10)
    ]
    np.testing.assert_allclose(moments[0], [0.63, 0.56], atol=0.01)
    np.testing.assert_allclose(moments[2], [0.88, 0.44], atol=0.01)
    errors = np.abs(np.array(moments) - [0.9, 0.436])[:, 0]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize(
    ("steps", "count", "repeats"),
    [
        (50, 4000, 3),
        *(pytest.param(1000, 1500, repeats, marks=pytest.mark.slow) for repeats in (1, 3, 10)),
    ],
)
def test_replacement_and_its_repetition_are_as_biased_as_they_must_be(steps, count, repeats, key):
    """Mean and deviation are those of the recursion, to 5 standard errors and 1e-3."""
    sde, covariance = VP(), posteriors.correlated(0.9)
    mixture = GaussianMixture.from_covariances(
        jnp.ones(1), jnp.zeros((1, 2)), jnp.asarray(covariance)[None]
    )
    plain = PredictorCorrector(grid=UniformGrid(steps=steps, t_min=1e-3), predictor=Ancestral())
    known = KnownPixels(data=jnp.ones((count, 2)), mask=jnp.asarray([[1.0, 0.0]]))
    sampler = Constrained(sampler=plain, constraint=known, repeats=repeats)
    x = draw(sampler, sde, key, count, (2,), MixtureScore(mixture, sde)).x
    second = np.asarray(x[:, 1], np.float64)
    mean, deviation = posteriors.recursion(covariance, "replacement", repeats=repeats, steps=steps)
    error = deviation[1] / count**0.5
    assert abs(second.mean() - mean[1]) < 5 * error + 1e-3, (repeats, second.mean(), mean)
    assert abs(second.std() - deviation[1]) < 5 * error + 1e-3, (repeats, second.std())


def test_many_masks_in_one_batch_are_those_of_one_by_one(key):
    sde, sampler = VP(), SAMPLERS["em"]
    masks = (jax.random.uniform(key, (64, 3)) < 0.5).astype(jnp.float32)
    data = jax.random.normal(key, (64, 3))
    together = draw(
        Constrained(sampler=sampler, constraint=KnownPixels(data=data, mask=masks)), sde, key, 64
    )
    for index in (0, 17, 63):
        alone = Constrained(
            sampler=sampler,
            constraint=KnownPixels(data=data[index][None], mask=masks[index][None]),
        )
        score = MixtureScore(gaussian(3), sde)
        x = compiled(alone, keys(key, 64)[index][None], score, sde, (3,)).x
        np.testing.assert_allclose(together.x[index], x[0], rtol=0, atol=1e-5)


def test_another_mask_compiles_nothing(key):
    sde, traces = VP(), 0

    @jax.jit
    def run(sampler, keys):
        nonlocal traces
        traces += 1
        return sampler(keys, MixtureScore(gaussian(3), sde), sde, (3,)).x

    for value in (0.0, 1.0):
        known = KnownPixels(data=jnp.full((8, 3), value), mask=jnp.full((8, 3), value))
        run(Constrained(sampler=SAMPLERS["em"], constraint=known), keys(key, 8))
    assert traces == 1


def test_repetition_costs_what_it_says(key):
    known = KnownPixels(data=jnp.zeros((8, 3)), mask=jnp.zeros((8, 3)))
    sampler = Constrained(sampler=SAMPLERS["pc"], constraint=known, repeats=3)
    assert (draw(sampler, VP(), key).nfe == 20 * (2 + 3) + 1).all()


def test_wrong_settings_are_refused():
    known = KnownPixels(data=jnp.zeros((8, 3)), mask=jnp.zeros((8, 3)))
    stating = PredictorCorrector(grid=UniformGrid(steps=2), predictor=Ancestral(), end="state")
    correcting = PredictorCorrector(grid=UniformGrid(steps=2), predictor=None, corrector=Langevin())
    with pytest.raises(ValueError, match="`end` of `sampler` must be denoised or mean"):
        Constrained(sampler=stating, constraint=known)
    with pytest.raises(ValueError, match="`sampler` must have a predictor"):
        Constrained(sampler=correcting, constraint=known)
    with pytest.raises(ValueError, match="`repeats` must be at least 1"):
        Constrained(sampler=SAMPLERS["em"], constraint=known, repeats=0)
