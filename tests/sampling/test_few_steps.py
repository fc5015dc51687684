"""Samplers in few evaluations: one for all processes, their orders, and what they are equal to."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DEVIATION, MEAN, SDES, gaussian, keys, slow_but
from scipy.integrate import quad

from sde_jax.sampling import (
    DDIM,
    Ancestral,
    Churn,
    ExponentialAdams,
    Heun,
    KarrasGrid,
    LogSNRGrid,
    PredictorCorrector,
    UniformGrid,
    draw_prior,
)
from sde_jax.score import GaussianMixture, MixtureScore, gaussian_flow
from sde_jax.sde import VE, VP, CosineVP, FlowMatching, OrnsteinUhlenbeck, SubVP

NOISE = 152.0
ONE_RANGE = {
    "vp": VP(),
    "subvp": SubVP(),
    "ve": VE(sigma_min=0.01, sigma_max=NOISE),
    "ou": OrnsteinUhlenbeck(beta=np.log1p(NOISE**2) / 2, s=np.sqrt(np.log1p(NOISE**2))),
    "cosine": CosineVP(log_snr_prior=-2 * np.log(NOISE)),
    "flow-matching": FlowMatching(noise_to_signal_prior=NOISE),
}
ADAMS = {
    "dpm++2m": {"order": 2, "corrected": False},
    "dpm++3m": {"order": 3, "corrected": False},
    "unipc": {"order": 3, "corrected": True},
    "sde-dpm++2m": {"order": 2, "corrected": False, "eta": 1.0},
}


def one_step(predictor, grid, **settings):
    return PredictorCorrector(grid=grid, predictor=predictor, **settings)


@functools.partial(jax.jit, static_argnums=(0, 2))
def draw(sampler, mixture, sde, keys):
    return sampler(keys, MixtureScore(mixture, sde), sde, (mixture.means.shape[1],))


@functools.partial(jax.jit, static_argnums=(0, 1))
def draw_prior_of(sde, shape, keys):
    return draw_prior(jax.vmap(jax.random.split, out_axes=1)(keys)[0], sde, shape)


OF_ONE_RANGE = {
    "unipc": ExponentialAdams(grid=LogSNRGrid(steps=8, last=0.0105)),
    "sde-dpm++2m": ExponentialAdams(grid=KarrasGrid(steps=8, last=0.0105), **ADAMS["sde-dpm++2m"]),
    "ddim": one_step(DDIM(eta=0.5), LogSNRGrid(steps=8, last=0.0105)),
    "heun": one_step(Heun(churn=Churn(growth=0.1, high=50)), KarrasGrid(steps=8, last=0.0105)),
}
QUICK = [("unipc", "subvp")]


@pytest.mark.parametrize(
    ("sampler", "name"),
    [
        pytest.param(sampler, name, marks=() if (sampler, name) in QUICK else pytest.mark.slow)
        for sampler in OF_ONE_RANGE
        for name in ONE_RANGE
        if name != "vp"
    ],
)
def test_all_processes_of_one_range_give_the_same_samples(sampler, name):
    """The prior of VP is wider than its noise at t = 1 by 2e-5, and the ranges end within 2e-3."""
    with jax.enable_x64(True):
        all_keys = keys(jax.random.key(0), 5)
        samples = [
            draw(OF_ONE_RANGE[sampler], gaussian(2), ONE_RANGE[n], all_keys).x for n in ("vp", name)
        ]
    np.testing.assert_allclose(samples[1], samples[0], rtol=2e-3, atol=1e-3)


flow = jax.jit(gaussian_flow, static_argnums=1)


@functools.cache
def flow_error(method, steps):
    """Of the state at the end of a flow of a Gaussian, for VE from noise 30 down to .3."""
    sde, data = VE(sigma_min=0.3, sigma_max=30.0), gaussian()
    grid = LogSNRGrid(steps=steps, last=0.3)
    if method in ADAMS:
        sampler = ExponentialAdams(grid=grid, end="state", **ADAMS[method])
    else:
        sampler = one_step({"ddim": DDIM(), "heun": Heun()}[method], grid, end="state")
    all_keys = keys(jax.random.key(0), 3)
    prior = draw_prior_of(sde, (1,), all_keys)
    expected = flow(data, sde, prior, jnp.asarray(1.0), jnp.asarray(0.0))
    return np.abs(np.asarray(draw(sampler, data, sde, all_keys).x) - expected).max()


@pytest.mark.parametrize(
    ("method", "order"),
    [
        pytest.param("ddim", 1, marks=pytest.mark.slow),
        pytest.param("heun", 2, marks=pytest.mark.slow),
        pytest.param("dpm++2m", 2, marks=pytest.mark.slow),
        pytest.param("dpm++3m", 3, marks=pytest.mark.slow),
        ("unipc", 4),
    ],
)
def test_errors_fall_with_the_order(method, order):
    """The first steps, of lower order, lie where the posterior mean hardly changes."""
    with jax.enable_x64(True):
        ratio = flow_error(method, 100) / flow_error(method, 200)
    assert abs(np.log2(ratio) - order) < 0.35, np.log2(ratio)


@pytest.mark.parametrize("name", slow_but("ve"))
def test_ddim_is_ancestral_or_the_flow(name, key):
    sde = SDES[name]
    grid = UniformGrid(steps=6, t_min=0.05)
    with jax.enable_x64(True):
        first = [ExponentialAdams(grid=grid, order=1, corrected=False, eta=eta) for eta in (0, 1.0)]
        moves = (DDIM(), DDIM(eta=1.0), Ancestral())
        samplers = [*first, *(one_step(move, grid) for move in moves)]
        run = jax.jit(
            lambda keys: [draw(sampler, gaussian(2), sde, keys).x for sampler in samplers]
        )
        still_first, noisy_first, still, noisy, ancestral = run(keys(key, 3))
    np.testing.assert_allclose(noisy, ancestral, rtol=1e-9)
    np.testing.assert_allclose(noisy_first, ancestral, rtol=1e-9)
    np.testing.assert_allclose(still_first, still, rtol=1e-9)
    assert not np.allclose(noisy, still, rtol=1e-2)


@pytest.mark.parametrize(
    "method", ["unipc", pytest.param("dpm++3m", marks=pytest.mark.slow), "sde-dpm++2m"]
)
def test_a_point_mass_is_drawn_exactly(method, key):
    """Its posterior mean is constant, and the rest is solved: law and flow, whatever the steps."""
    sde = VE(sigma_min=0.5, sigma_max=50.0)
    data = GaussianMixture(jnp.ones(1), jnp.full((1, 1), MEAN), jnp.zeros((1, 1)))
    sampler = ExponentialAdams(grid=LogSNRGrid(steps=3, last=0.5), end="state", **ADAMS[method])
    x = np.asarray(draw(sampler, data, sde, keys(key, 4000)).x) - MEAN
    assert abs(x.mean()) < 5 * 0.5 / np.sqrt(len(x)) + 0.01 * MEAN
    assert abs(x.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * len(x))
    if method != "sde-dpm++2m":
        prior = draw_prior_of(sde, (1,), keys(key, 4000))
        np.testing.assert_allclose(x, (prior - MEAN) / 100, atol=1e-5)


def test_the_stochastic_variant_has_the_datas_law(key):
    """Mean and covariance of a correlated Gaussian in the plane, to 5 standard errors."""
    mean, covariance = np.array([0.7, -0.3]), np.array([[0.16, 0.05], [0.05, 0.04]])
    data = GaussianMixture.from_covariances(
        jnp.ones(1), jnp.asarray(mean)[None], jnp.asarray(covariance)[None]
    )
    sampler = ExponentialAdams(grid=LogSNRGrid(steps=60), **ADAMS["sde-dpm++2m"])
    x = np.asarray(draw(sampler, data, SDES["vp"], keys(key, 4000)).x, np.float64)
    errors = np.sqrt(np.diag(covariance) / len(x))
    assert (np.abs(x.mean(0) - mean) < 5 * errors).all()
    spread = np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2
    assert (np.abs(np.cov(x.T) - covariance) < 5 * np.sqrt(spread / len(x))).all()


@pytest.mark.parametrize(
    ("eta", "corrected"),
    [
        (0.0, True),
        (1.0, False),
        pytest.param(0.0, False, marks=pytest.mark.slow),
        pytest.param(1.0, True, marks=pytest.mark.slow),
    ],
)
def test_weights_are_integrals_of_polynomials(eta, corrected):
    """Of order 3 in the sixth of uneven steps, by quadrature of the basis polynomials."""
    levels = np.array([50.0, 20.0, 11.0, 5.0, 1.0, 0.4, 0.1, 0.02])
    spec = ExponentialAdams(grid=UniformGrid(steps=1), eta=eta, orders="full")
    table_of = jax.jit(spec.table)
    # long enough not to fall in order at its end
    padded = np.append(levels, 0.02 * 0.5 ** np.arange(1, 20))
    with jax.enable_x64(True):
        table = jax.tree.map(np.asarray, table_of(padded))
    logs, c = -np.log(levels), 1 + eta
    nodes = ([logs[6]] if corrected else []) + [logs[5], logs[4], logs[3]]
    found = (table.corrections if corrected else table.weights)[5]
    for j, node in enumerate(nodes):

        def integrand(at, j=j, node=node):
            others = [(at - other) / (node - other) for k, other in enumerate(nodes) if k != j]
            return c * np.exp(-c * (logs[6] - at)) * np.prod(others)

        np.testing.assert_allclose(found[j], quad(integrand, logs[5], logs[6])[0], rtol=1e-8)
    np.testing.assert_allclose(table.kept[5], (0.1 / 0.4) ** c, rtol=1e-12)
    deviation = 0.1 * np.sqrt(1 - (0.1 / 0.4) ** (2 * eta))
    np.testing.assert_allclose(table.deviation[5], deviation, rtol=1e-12)


@pytest.mark.slow("test_weights_are_integrals_of_polynomials")
def test_a_thousand_steps_lose_nothing_in_float32(key):
    """Coefficients of small steps, which subtraction of exponentials would leave no digit of."""
    spec = ExponentialAdams(grid=LogSNRGrid(steps=1000), order=4)
    levels = np.exp(np.linspace(np.log(152), np.log(0.0105), 1001))
    single = jax.jit(spec.table)(levels.astype(np.float32))
    with jax.enable_x64(True):
        double = jax.jit(spec.table)(levels.astype(np.float32).astype(np.float64))
    for name in ("weights", "corrections", "kept"):
        one, other = getattr(single, name), getattr(double, name)
        np.testing.assert_allclose(
            np.asarray(one)[5:], np.asarray(other)[5:], rtol=2e-4, err_msg=name
        )


def test_heun_is_the_published_algorithm(key):
    """Karras et al. 2022, alg. 2, in numpy, with churn in the middle of the way."""
    sde = VE(sigma_min=0.02, sigma_max=80.0)
    steps, growth, low, high, extra = 6, 0.3, 0.05, 50.0, 1.007
    predictor = Heun(churn=Churn(growth=growth, low=low, high=high, noise=extra))
    rng = np.random.default_rng(0)
    y, noises = 80.0 * rng.normal(size=(4, 3)), rng.normal(size=(steps, 4, 3))

    def denoiser(x, sigma):
        return MEAN + DEVIATION**2 / (DEVIATION**2 + sigma**2) * (x - MEAN)

    with jax.enable_x64(True):
        times, x = np.asarray(jax.jit(lambda: KarrasGrid(steps=steps, last=0.02)(sde))()), y
        move = jax.jit(
            lambda n, x, t, s: predictor(n, MixtureScore(gaussian(3), sde), sde, x, t, s).x
        )
        ours = [x := move(noises[i], x, times[i], times[i + 1]) for i in range(steps)]
    levels = (80 ** (1 / 7) + np.arange(steps + 1) / steps * (0.02 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    for i, (level, following) in enumerate(zip(levels, levels[1:], strict=False)):
        gamma = growth if low <= level <= high else 0.0
        raised = level + gamma * level
        y = y + np.sqrt(raised**2 - level**2) * extra * noises[i]
        slope = (y - denoiser(y, raised)) / raised
        guess = y + (following - raised) * slope
        other = (guess - denoiser(guess, following)) / following
        y = y + (following - raised) * (slope / 2 + other / 2)
        np.testing.assert_allclose(ours[i], y, rtol=1e-6)


@pytest.mark.parametrize(
    ("sampler", "evaluations"),
    [
        (one_step(Heun(), KarrasGrid(steps=17)), 35),
        (ExponentialAdams(grid=LogSNRGrid(steps=9)), 10),
        pytest.param(
            ExponentialAdams(grid=LogSNRGrid(steps=9), end="state", frames=2),
            9,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["heun", "unipc", "state"],
)
def test_nfe_is_the_number_of_calls(sampler, evaluations, key):
    calls, sde = [], SDES["vp"]

    def score(x, t):
        jax.debug.callback(lambda: calls.append(None))
        return gaussian().score(sde, x, t)

    samples = jax.jit(lambda keys: sampler(keys, score, sde, (1,)))(keys(key, 2))
    jax.effects_barrier()
    assert len(calls) == evaluations
    np.testing.assert_array_equal(samples.nfe, [evaluations] * 2)


def test_orders_rise_and_may_fall_in_few_evaluations():
    def orders(steps, **settings):
        spec = ExponentialAdams(grid=LogSNRGrid(steps=steps), **settings)
        weights = jax.jit(spec.table)(np.geomspace(50, 0.01, steps + 1).astype(np.float32)).weights
        return (np.asarray(weights) != 0).sum(axis=1)

    np.testing.assert_array_equal(orders(20, orders="falling"), [1, 2] + [3] * 18)
    falling = {"orders": "falling"}
    np.testing.assert_array_equal(orders(9, **falling), [1, 2, 3, 3, 3, 3, 3, 3, 2])
    np.testing.assert_array_equal(orders(9, end="state", **falling), [1, 2, 3, 3, 3, 3, 3, 2, 1])


def amplification(levels, step, order):
    """Of a step of exponential Adams-Bashforth: sum |w| / sum w, by quadrature of its basis."""
    logs = -np.log(levels)
    nodes = [logs[step - j] for j in range(order)]
    total, end = 1 - levels[step + 1] / levels[step], logs[step + 1]
    if order == 2:  # as published: the value in the middle of the step
        middle = (0.5 * (logs[step] + end) - nodes[0]) / (nodes[1] - nodes[0])
        return abs(1 - middle) + abs(middle)

    def weight(node):
        others = [other for other in nodes if other != node]

        def integrand(at):
            return np.exp(at - end) * np.prod([(at - o) / (node - o) for o in others])

        return quad(integrand, logs[step], end)[0]

    return sum(abs(weight(node)) for node in nodes) / total


def test_orders_fall_where_a_step_would_amplify_errors():
    """In steps of random lengths, the highest order within its bound is taken."""
    rng = np.random.default_rng(3)
    levels = 50.0 * np.exp(-np.cumsum(np.append(0.0, rng.uniform(0.05, 1.5, 30))))
    table = jax.jit(ExponentialAdams(grid=UniformGrid(steps=1)).table)(levels.astype(np.float32))
    found = (np.asarray(table.weights) != 0).sum(axis=1)
    for step, order in enumerate(found):
        bounds = {2: 3.0, 3: 4.4}
        allowed = [
            k for k in bounds if k <= step + 1 and amplification(levels, step, k) <= bounds[k]
        ]
        assert order == max(allowed, default=1), step
    assert set(found[3:]) == {1, 2, 3}


@pytest.mark.slow("test_orders_fall_where_a_step_would_amplify_errors")
@pytest.mark.parametrize("name", ["vp", "subvp", "flow-matching"])
@pytest.mark.parametrize("steps", [8, 20, 35])
def test_bounded_orders_stand_equal_steps_of_time(name, steps, key):
    """Where order 3 breaks: less than half of its error, and less than that of order 1.

    On sub-VP order 3 breaks less, and order 1 is as good in 20 steps.
    """
    of_first, of_full = (1.15, 0.65) if name == "subvp" else (1.0, 0.5)
    sde, all_keys = ONE_RANGE[name], keys(key, 200)
    weights, means = jnp.asarray([0.35, 0.65]), jnp.asarray([[-0.6, 0.3], [0.8, -0.2]])
    data = GaussianMixture(weights, means, jnp.asarray([[0.04, 0.1], [0.16, 0.02]]))
    grid = UniformGrid(steps=steps, t_min=float(sde.time_of(jnp.asarray(0.0105))))

    def ends(grid, **settings):
        return draw(ExponentialAdams(grid=grid, **settings), data, sde, all_keys).x

    with jax.enable_x64(True):
        exact = ends(LogSNRGrid(steps=400, last=0.0105))
        bounded, full, first = (
            float(jnp.sqrt(((ends(grid, **settings) - exact) ** 2).mean()))
            for settings in ({}, {"orders": "full"}, {"order": 1})
        )
    assert bounded < min(of_first * first, of_full * full), (bounded, full, first)


@pytest.mark.slow(
    "tests/sampling/test_predictor_corrector.py::test_a_sample_does_not_depend_on_its_batch"
)
@pytest.mark.parametrize("sampler", [ExponentialAdams, functools.partial(one_step, Heun())])
def test_a_sample_does_not_depend_on_its_batch(sampler, key):
    spec, all_keys = sampler(grid=LogSNRGrid(steps=9)), keys(key, 8)
    together = draw(spec, gaussian(2), SDES["vp"], all_keys).x
    alone = draw(spec, gaussian(2), SDES["vp"], all_keys[5:6]).x
    np.testing.assert_allclose(alone[0], together[5], rtol=1e-4, atol=1e-5)


def test_wrong_settings_are_refused():
    grid = LogSNRGrid(steps=3)
    with pytest.raises(ValueError, match=r"^`order` must be from 1 to 4: got order=5\.$"):
        ExponentialAdams(grid=grid, order=5)
    for make in (DDIM, functools.partial(ExponentialAdams, grid=grid)):
        with pytest.raises(ValueError, match=r"^`eta` must be in \[0, 1\]: got eta=2\.$"):
            make(eta=2)
    with pytest.raises(ValueError, match=r"^`end` must be one of denoised, mean, state: got"):
        ExponentialAdams(grid=grid, end="noisy")
    with pytest.raises(ValueError, match=r"^`growth` must be in \[0, sqrt\(2\) - 1\]: got"):
        Churn(growth=0.5)
    with pytest.raises(ValueError, match=r"^`low` must be in \[0, `high`\]: got low=2, high=1\.$"):
        Churn(growth=0.1, low=2, high=1)
    with pytest.raises(ValueError, match=r"^`noise` must be positive: got noise=0\.$"):
        Churn(growth=0.1, noise=0)
