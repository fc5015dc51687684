"""The loop of predictor and corrector: laws of its samples, cost, frames, keys."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import (
    DEVIATION,
    MEAN,
    SDES,
    each_sde,
    gaussian,
    keys,
    line_mixture,
    oracle_of,
    plane_mixture,
    plane_mixture_arrays,
    slow_but,
)

from sde_jax.sampling import (
    Ancestral,
    BatchNormStep,
    EulerMaruyama,
    Langevin,
    PredictorCorrector,
    PublishedGrid,
    ReverseDiffusion,
    Step,
    UniformGrid,
    draw_prior,
)
from sde_jax.score import MixtureScore
from sde_jax.sde import DDPMChain, EulerChain, SMLDChain

PREDICTORS = [EulerMaruyama(), ReverseDiffusion(), Ancestral()]


def sampler(predictor, steps=500, **settings):
    return PredictorCorrector(grid=UniformGrid(steps=steps), predictor=predictor, **settings)


@functools.partial(jax.jit, static_argnums=(0, 2))
def compiled(sampler, mixture, sde, keys):
    return sampler(keys, MixtureScore(mixture, sde), sde, (mixture.means.shape[1],))


def draw(sampler, mixture, sde, key, count):
    return compiled(sampler, mixture, sde, keys(key, count))


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def untold(sampler, keys, sde, shape):
    """Samples of moves that need no score."""
    return sampler(keys, None, sde, shape)


def check_moments(x, mean, deviation, discretization):
    """Mean and deviation of each coordinate, to 5 standard errors plus a discretization error."""
    x = np.asarray(x, np.float64)
    error = x.std(0) / np.sqrt(len(x))
    kurtosis = ((x - x.mean(0)) ** 4).mean(0) / x.var(0) ** 2
    deviation_error = 0.5 * x.std(0) * np.sqrt((kurtosis - 1) / len(x))
    z_mean = (x.mean(0) - mean) / (error + discretization / 5)
    z_deviation = (x.std(0) - deviation) / (deviation_error + discretization / 5)
    assert (np.abs(z_mean) < 5).all(), (x.mean(0), mean)
    assert (np.abs(z_deviation) < 5).all(), (x.std(0), deviation)


@pytest.mark.parametrize(
    ("predictor", "name"),
    [
        pytest.param(
            predictor,
            name,
            marks=() if (predictor, name) == (EulerMaruyama(), "vp") else pytest.mark.slow,
        )
        for predictor in PREDICTORS
        for name in SDES
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_a_lopsided_gaussian(predictor, name, key):
    """The discretization errors are those that test_predictors computes without noise.

    The ancestral step of OU is coarse in its last step, from sigma .1 to .01.
    """
    coarse = isinstance(predictor, Ancestral) and name == "ou"
    samples = draw(sampler(predictor), gaussian(), SDES[name], key, 4000)
    check_moments(samples.x, MEAN, DEVIATION, 0.05 if coarse else 0.016)
    assert samples.converged.all()


@pytest.mark.slow("test_a_lopsided_gaussian")
@pytest.mark.parametrize("name", SDES)
def test_an_unequal_mixture_on_the_line(name, key):
    samples = draw(sampler(ReverseDiffusion()), line_mixture(), SDES[name], key, 4000)
    check_moments(samples.x, *oracle_of(line_mixture()).moments(), 0.02)


@pytest.mark.parametrize(
    "predictor",
    [pytest.param(p, marks=pytest.mark.slow("test_a_lopsided_gaussian")) for p in PREDICTORS],
    ids=lambda p: type(p).__name__,
)
def test_an_unequal_mixture_in_the_plane(predictor, key):
    x = draw(sampler(predictor), plane_mixture(), SDES["vp"], key, 4000).x
    oracle = oracles.Mixture(*plane_mixture_arrays())
    check_moments(x, *oracle.moments(), 0.01)
    x = np.asarray(x)
    products = x[:, :1] * x[:, 1:]
    offsets = oracle.means[:, 0] * oracle.means[:, 1] + oracle.covariances[:, 0, 1]
    expected = oracle.weights @ offsets
    assert abs(products.mean() - expected) < 5 * products.std() / np.sqrt(len(x)) + 0.01


@pytest.mark.parametrize("name", slow_but("vp"))
def test_correcting_keeps_the_law(name, key):
    """Predictor-corrector at snr .16 and 500 steps: 5 standard errors plus 1 %."""
    both = sampler(ReverseDiffusion(), corrector=Langevin())
    x = draw(both, gaussian(2), SDES[name], key, 1000).x
    check_moments(x, MEAN, DEVIATION, 0.01 * DEVIATION)


@pytest.mark.slow("test_a_lopsided_gaussian")
def test_sixty_four_dimensions(key):
    x = draw(sampler(EulerMaruyama()), gaussian(64), SDES["vp"], key, 64).x
    check_moments(x.reshape(-1, 1), MEAN, DEVIATION, 0.001)


@pytest.mark.parametrize("name", ["vp", pytest.param("cosine", marks=pytest.mark.slow)])
def test_the_last_step_denoises_exactly(name, key):
    """The end's noise goes: denoised is the posterior mean of the state at the end."""
    sde = SDES[name]
    noisy = sampler(ReverseDiffusion(), steps=20, end="state")
    clean = sampler(ReverseDiffusion(), steps=20)
    x = draw(noisy, gaussian(), sde, key, 16).x
    expected = jax.jit(gaussian().denoised, static_argnums=0)(sde, x, sde.sampling_end)
    np.testing.assert_allclose(draw(clean, gaussian(), sde, key, 16).x, expected, rtol=1e-5)


@each_sde
def test_the_prior(sde, key):
    x = draw_prior(keys(key, 4000), sde, (2,))
    check_moments(x, 0.0, sde.prior_scale, 0.0)


@pytest.mark.parametrize(
    ("predictor", "corrector", "end"),
    [
        pytest.param(EulerMaruyama(), None, "denoised", marks=pytest.mark.slow),
        pytest.param(EulerMaruyama(), None, "mean", marks=pytest.mark.slow),
        (EulerMaruyama(), None, "state"),
        pytest.param(None, Langevin(), "denoised", marks=pytest.mark.slow),
        (EulerMaruyama(), Langevin(steps=3), "denoised"),
    ],
)
def test_nfe_is_the_number_of_calls(predictor, corrector, end, key):
    calls, sde = [], SDES["vp"]

    def score(x, t):
        jax.debug.callback(lambda: calls.append(None))
        return gaussian().score(sde, x, t)

    spec = sampler(predictor, steps=7, corrector=corrector, end=end)
    samples = jax.jit(lambda keys: spec(keys, score, sde, (1,)))(keys(key, 5))
    jax.effects_barrier()
    np.testing.assert_array_equal(samples.nfe, np.full(5, len(calls)))


@dataclasses.dataclass(frozen=True)
class Affine:
    """A move whose result is known: ``gain x + shift``, whatever the time."""

    gain: float
    shift: float
    evaluations: int = 0
    steps: int = 2

    @property
    def moves(self):
        return [self] * self.steps

    def __call__(self, noise, score, sde, x, t, s):
        return Step(self.gain * x + self.shift, x)


def test_corrections_come_before_the_prediction(key):
    """Twice: ``x + 1`` twice, then ``2 x``; hence ``2 (2 (x + 2) + 2)``."""
    spec = sampler(Affine(2.0, 0.0), steps=2, corrector=Affine(1.0, 1.0), frames=1, end="state")
    samples = untold(spec, keys(key, 3), SDES["vp"], (2,))
    expected = 4 * np.asarray(samples.trajectory)[:, 0] + 12
    np.testing.assert_allclose(samples.x, expected, rtol=1e-6)


def test_the_end_is_the_state_or_its_mean(key):
    """Of moves that add 2 to a mean of ``x + 1``: three corrections and three predictions."""

    @dataclasses.dataclass(frozen=True)
    class Noisy(Affine):
        def __call__(self, noise, score, sde, x, t, s):
            return Step(x + 3, x + 1)

    ends = {"state": 18.0, "mean": 16.0}
    for end, expected in ends.items():
        move = Noisy(1.0, 0.0, steps=1)
        spec = sampler(move, steps=3, corrector=move, frames=3, end=end)
        samples = untold(spec, keys(key, 2), SDES["vp"], (2,))
        states = np.asarray(samples.trajectory)
        offsets = samples.x - states[:, 0]
        np.testing.assert_allclose(offsets, np.full((2, 2), expected), atol=1e-5)
        on_the_way = states[:, 1] - states[:, 0]
        np.testing.assert_allclose(on_the_way, np.full((2, 2), 6.0), atol=1e-5)


def test_moves_are_told_the_time_and_the_next(key):
    times = []

    @dataclasses.dataclass(frozen=True)
    class Record(Affine):
        def __call__(self, noise, score, sde, x, t, s):
            jax.debug.callback(lambda *ts: times.append(tuple(map(float, ts))), t, s, ordered=True)
            return Step(x, x)

    spec = sampler(Record(1.0, 0.0), steps=3, corrector=Record(1.0, 0.0), end="state")
    jax.jit(lambda keys: spec(keys, None, SDES["vp"], (1,)).x)(keys(key, 1))
    jax.effects_barrier()
    grid = [float(t) for t in UniformGrid(steps=3)(SDES["vp"])]
    expected = [pair for pair in zip(grid, grid[1:], strict=False) for _ in range(3)]
    np.testing.assert_allclose(times, expected, rtol=1e-6)


def test_every_move_has_noise_of_its_own(key):
    """Without a drift, the variances of all moves add: equal noise would add deviations."""
    steps, count, sde = 4, 4000, SDES["ve"]
    spec = sampler(EulerMaruyama(), steps=steps, corrector=Langevin(), end="state")

    def no_score(x, t):
        return jnp.zeros_like(x)

    x = jax.jit(lambda keys: spec(keys, no_score, sde, (1,)).x)(keys(key, count))
    times = np.asarray(UniformGrid(steps=steps)(sde))
    sigma, h = 0.01 * 5000.0 ** times[:-1], -np.diff(times)
    moves = np.sum(4 * (0.16 * sigma) ** 2 + 2 * np.log(5000.0) * sigma**2 * h)
    check_moments(x, 0.0, np.sqrt(50.0**2 + moves), 0.0)


PUBLISHED = PredictorCorrector(
    grid=PublishedGrid(steps=30, t_min=1e-3),
    predictor=Ancestral(transition=DDPMChain(levels=30), variance="beta"),
    corrector=Langevin(transition=DDPMChain(levels=30)),
    end="mean",
)


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        *(
            pytest.param(
                name,
                sampler(ReverseDiffusion(), steps=30, corrector=Langevin()),
                marks=pytest.mark.slow,
            )
            for name in ("vp", "ve")
        ),
        ("vp", PUBLISHED),
    ],
    ids=["vp", "ve", "published"],
)
def test_a_sample_does_not_depend_on_its_batch(name, spec, key):
    sde = SDES[name]
    score = MixtureScore(plane_mixture(), sde)
    run = jax.jit(lambda keys: spec(keys, score, sde, (2,)).x)
    all_keys = keys(key, 64)
    together = run(all_keys)
    for j in (0, 7, 63):
        alone = run(all_keys[j : j + 1])
        np.testing.assert_allclose(alone[0], together[j], rtol=1e-4, atol=1e-5)


@pytest.mark.slow("test_a_sample_does_not_depend_on_its_batch")
def test_the_published_step_size_does_depend_on_the_batch(key):
    """The control of the test above."""
    spec = sampler(ReverseDiffusion(), steps=30, corrector=Langevin(step_size=BatchNormStep()))
    score = MixtureScore(plane_mixture(), SDES["vp"])
    run = jax.jit(lambda keys: spec(keys, score, SDES["vp"], (2,)).x)
    all_keys = keys(key, 64)
    assert not np.allclose(run(all_keys[:1]), run(all_keys)[:1], rtol=1e-4, atol=1e-5)


def test_samples_can_be_differentiated(key):
    """Samples of a Gaussian are affine in its mean: difference quotients are derivatives."""
    sde, spec = SDES["vp"], sampler(EulerMaruyama(), steps=20, corrector=Langevin())

    @jax.jit
    def coordinate(mean):
        data = dataclasses.replace(gaussian(2), means=mean[None])
        return spec(keys(key, 1), MixtureScore(data, sde), sde, (2,)).x[0, 1]

    mean = jnp.array([0.7, -0.2])
    quotients = [(coordinate(mean + e) - coordinate(mean - e)) / 2 for e in jnp.eye(2)]
    np.testing.assert_allclose(jax.grad(coordinate)(mean), quotients, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("frames", "kept", "end"),
    [
        pytest.param(1, 1, "denoised", marks=pytest.mark.slow),
        pytest.param(4, 4, "state", marks=pytest.mark.slow),
        pytest.param(10, 10, "denoised", marks=pytest.mark.slow),
        (99, 10, "mean"),
    ],
)
def test_frames_lead_from_the_prior_to_the_sample(frames, kept, end, key):
    sde, all_keys = SDES["vp"], keys(key, 3)
    spec = sampler(EulerMaruyama(), steps=10, frames=frames, end=end)
    samples = draw(spec, gaussian(2), sde, key, 3)
    assert samples.trajectory.shape == (3, kept + 1, 2)
    assert samples.trajectory_times.shape == (3, kept + 1)
    grid = np.asarray(UniformGrid(steps=10)(sde))
    index = np.round(np.linspace(0, 10, kept + 1)).astype(int)
    np.testing.assert_allclose(samples.trajectory_times[1], grid[index], rtol=1e-6)
    prior = draw_prior(jax.vmap(jax.random.split, out_axes=1)(all_keys)[0], sde, (2,))
    # It is drawn in another program, which may round erfinv differently.
    np.testing.assert_allclose(samples.trajectory[:, 0], prior, rtol=2e-7)
    np.testing.assert_array_equal(samples.trajectory[:, -1], samples.x)
    plain = sampler(EulerMaruyama(), steps=10, end=end)
    without = draw(plain, gaussian(2), sde, key, 3)
    assert without.trajectory is None
    np.testing.assert_allclose(samples.x, without.x, rtol=1e-5)


def test_frames_are_the_states_on_the_way(key):
    spec = sampler(Affine(1.0, 1.0), steps=6, frames=3, end="state")
    states = np.asarray(untold(spec, keys(key, 2), SDES["ou"], (1,)).trajectory)
    offsets = states - states[:, :1]
    np.testing.assert_allclose(offsets, [[[0.0], [2.0], [4.0], [6.0]]] * 2, atol=1e-5)


def test_images_keep_their_shape(key):
    spec = sampler(EulerMaruyama(), steps=3, corrector=Langevin(), frames=2)
    sde = SDES["vp"]
    shapes = jax.eval_shape(
        lambda keys: spec(keys, MixtureScore(gaussian(18), sde), sde, (3, 3, 2)), keys(key, 2)
    )
    assert shapes.x.shape == (2, 3, 3, 2)
    assert shapes.trajectory.shape == (2, 3, 3, 3, 2)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"^`predictor` and `corrector` must not both be None: "):
        sampler(None)
    with pytest.raises(ValueError, match=r"^`frames` must not be negative: got frames=-1\.$"):
        sampler(EulerMaruyama(), frames=-1)
    message = r"^`end` must be one of denoised, mean, state: got end='noisy'\.$"
    with pytest.raises(ValueError, match=message):
        sampler(EulerMaruyama(), end="noisy")


@pytest.mark.slow("test_correcting_keeps_the_law")
@pytest.mark.parametrize("name", ["vp", "subvp", "ve"])
def test_the_published_ways_reach_the_data(name, key):
    """A thousand steps of the chains, corrected, and ended in a mean: a deviation of .4 to .01."""
    sde = SDES[name]
    chain = {"vp": DDPMChain(), "subvp": EulerChain(), "ve": SMLDChain()}[name]
    spec = PredictorCorrector(
        grid=PublishedGrid(steps=1000, t_min=1e-5 if name == "ve" else 1e-3),
        predictor=ReverseDiffusion(transition=chain),
        corrector=Langevin(transition=chain),
        end="mean",
    )
    x = draw(spec, gaussian(2), sde, key, 1000).x
    check_moments(x, MEAN, DEVIATION, 0.01)
