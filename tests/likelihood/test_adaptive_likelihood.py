"""Likelihoods of exact scores against the closed-form density at t_min, and their bookkeeping."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    SDES,
    gaussian,
    keys,
    line_mixture,
    plane_mixture,
    slow_but,
)

from sde_jax.likelihood import (
    ExactTrace,
    Hutchinson,
    Likelihood,
    LogLikelihoods,
    bits_per_dimension,
)
from sde_jax.ode import AdaptiveSolver
from sde_jax.runs import measurement
from sde_jax.sampling import ProbabilityFlow
from sde_jax.score import (
    GaussianMixture,
    MixtureScore,
    NetworkScore,
    ScoreModel,
    UnitFlow,
    quantile_flow,
)

T_MIN = 1e-3


@functools.partial(jax.jit, static_argnums=(0, 2))
def compiled(likelihood, mixture, sde, x, keys):
    return likelihood(keys, MixtureScore(mixture, sde), sde, x)


def evaluate(likelihood, mixture, sde, x, key):
    return compiled(likelihood, mixture, sde, x, keys(key, len(x)))


@functools.partial(jax.jit, static_argnums=(1, 3))
def noised(mixture, sde, key, count, t):
    """Points distributed as the data are at ``t``."""
    key_data, key_noise = jax.random.split(key)
    x0 = mixture.sample(key_data, count)
    return sde.alpha(t) * x0 + sde.sigma(t) * jax.random.normal(key_noise, x0.shape)


SLOW = [("vp", 1e-2), *((name, 1e-5) for name in SDES if name != "ve")]


@pytest.mark.parametrize(
    ("name", "t_min"),
    [
        pytest.param(*case, marks=pytest.mark.slow("test_each_point_on_the_line"))
        for case in [("ve", 1e-5), *SLOW]
    ],
)
def test_the_mean_over_points_in_the_plane(name, t_min, key):
    """Within 1e-3 nats a dimension, the prior's own error included."""
    sde, mixture, t = SDES[name], plane_mixture(), jnp.asarray(t_min)
    x = noised(mixture, sde, key, 400, t)
    result = evaluate(Likelihood(divergence=ExactTrace(), t_min=t_min), mixture, sde, x, key)
    assert result.converged.all()
    np.testing.assert_array_equal(result.probe_stderr, np.zeros(400))
    exact = np.asarray(jax.jit(mixture.log_density, static_argnums=0)(sde, x, t))
    assert abs((np.asarray(result.nats) - exact).mean()) < 2 * 1e-3


@pytest.mark.parametrize("name", slow_but("ve"))
def test_each_point_on_the_line(name, key):
    """Once the prior's own error is taken out, by the exact map of quantiles."""
    sde, mixture = SDES[name], line_mixture()
    x = np.linspace(-1.2, 2.2, 9, dtype=np.float32)[:, None]
    result = evaluate(Likelihood(t_min=1e-3), mixture, sde, x, key)

    @jax.jit
    def exact(mixture, x):
        latents = quantile_flow(mixture, sde, x[:, 0], jnp.asarray(1e-3), jnp.asarray(1.0))
        log_prior = jax.scipy.stats.norm.logpdf(latents, scale=sde.prior_scale)
        expected = mixture.log_density(sde, x, jnp.asarray(1e-3)) + log_prior
        return expected - mixture.log_density(sde, latents[:, None], jnp.asarray(1.0))

    with jax.enable_x64(True):
        expected = exact(*jax.tree.map(np.float64, (mixture, x)))
    np.testing.assert_allclose(result.nats, expected, atol=1e-3)


@pytest.mark.slow("test_each_point_on_the_line")
@pytest.mark.parametrize("name", ["vp", "ve"])
def test_sixty_four_dimensions(name, key):
    """Images of 8 x 8 from a mixture of two."""
    means = jnp.stack([jnp.full(64, -0.4), jnp.linspace(0.2, 0.8, 64)])
    mixture = GaussianMixture(jnp.asarray([0.3, 0.7]), means, jnp.full((2, 64), 0.09))
    sde, t = SDES[name], jnp.asarray(T_MIN)
    x = noised(mixture, sde, key, 16, t)
    likelihood = Likelihood(divergence=ExactTrace(), t_min=T_MIN)
    result = evaluate(likelihood, mixture, sde, x.reshape(16, 8, 8, 1), key)
    error = result.nats - mixture.log_density(sde, x, t)
    np.testing.assert_allclose(error.mean() / 64, 0.0, atol=1e-3)


@pytest.mark.slow("test_each_point_on_the_line")
@pytest.mark.parametrize("t_min", [1e-5, 1e-2, 1e-1])
def test_the_density_is_that_at_t_min(t_min, key):
    """Points of a narrow Gaussian: its density differs by nats between 1e-5 and .01."""
    narrow, sde = (
        GaussianMixture(jnp.ones(1), jnp.zeros((1, 1)), jnp.full((1, 1), 1e-4)),
        SDES["vp"],
    )
    x = jnp.asarray([[0.01]])
    result = evaluate(Likelihood(t_min=t_min), narrow, sde, x, key)
    expected = narrow.log_density(sde, x, jnp.asarray(t_min))
    np.testing.assert_allclose(result.nats, expected, atol=2e-3)


def correlated():
    """A Gaussian whose Jacobian is far from diagonal, so that probes differ."""
    covariance = np.array([[[0.20, 0.17], [0.17, 0.20]]])
    return GaussianMixture.from_covariances(
        jnp.ones(1), jnp.asarray([[0.5, -0.3]]), jnp.asarray(covariance, jnp.float32)
    )


@pytest.mark.parametrize("gaussian_probes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_hutchinson_is_unbiased_and_its_error_is_known(gaussian_probes, key):
    """One point, 600 estimates of 4 probes: the mean within 5 errors, the errors as scattered."""
    sde, count = SDES["vp"], 600
    x = np.tile(np.float32([[0.9, 0.2]]), (count, 1))
    divergence = Hutchinson(probes=4, gaussian=gaussian_probes)
    result = evaluate(Likelihood(divergence=divergence, t_min=T_MIN), correlated(), sde, x, key)
    exact = jax.jit(correlated().log_density, static_argnums=0)(sde, x[:1], T_MIN)
    scatter = float(np.std(result.nats))
    z = (np.mean(result.nats) - exact[0]) / (scatter / np.sqrt(count))
    assert scatter > 0.05
    assert abs(z) < 5, z
    root_mean_square = float(np.sqrt(np.mean(np.square(result.probe_stderr))))
    assert root_mean_square == pytest.approx(scatter, rel=0.15)


def test_one_probe_has_no_error_bar_and_an_exact_trace_no_error(key):
    x = np.float32([[0.9, 0.2]])
    likelihood = Likelihood(t_min=T_MIN)
    one = evaluate(likelihood, correlated(), SDES["vp"], np.tile(x, (8, 1)), key)
    assert one.probe_stderr is None
    exact = Likelihood(divergence=ExactTrace(), t_min=T_MIN)
    none = evaluate(exact, correlated(), SDES["vp"], x, key)
    np.testing.assert_array_equal(none.probe_stderr, [0.0])


def test_what_is_not_known_is_nan_on_the_host_alone():
    """A NaN in a compiled program would be an error of `jax_debug_nans`."""
    with jax.debug_nans(True):
        assert UnitFlow(None, SDES["vp"]).first_step(jnp.zeros(()), from_data=True) > 0
        assert Hutchinson().stderr(jnp.ones(1)) is None
    found = LogLikelihoods(np.ones(2, "f"), None, np.ones(2), np.asarray([True, False]))
    measured = measurement._in_units(found, 4, 0.5)
    np.testing.assert_allclose(measured.nats, [3, np.nan])
    assert np.isnan(measured.probe_stderr).all()
    np.testing.assert_array_equal(measured.converged, [True, False])
    assert measured.nats.dtype == measured.probe_stderr.dtype == np.float32


def test_probes_are_fixed_along_the_solve_and_differ_between_keys(key):
    x = np.tile(np.float32([[0.9, 0.2]]), (8, 1))
    first = evaluate(Likelihood(t_min=T_MIN), correlated(), SDES["vp"], x, key)
    again = evaluate(Likelihood(t_min=T_MIN), correlated(), SDES["vp"], x, key)
    np.testing.assert_array_equal(first.nats, again.nats)
    assert len(np.unique(np.round(np.asarray(first.nats), 3))) > 1
    assert first.nfe.max() < 200


@pytest.mark.parametrize(
    "divergence",
    [
        pytest.param(
            divergence,
            marks=pytest.mark.slow(
                "tests/sampling/test_probability_flow.py::test_nfe_is_the_number_of_calls"
            ),
        )
        for divergence in (Hutchinson(), Hutchinson(probes=3), ExactTrace())
    ],
)
def test_nfe_is_the_number_of_calls(divergence, key):
    calls, sde = [], SDES["vp"]

    def score(x, t):
        jax.debug.callback(lambda: calls.append(None))
        return plane_mixture().score(sde, x, t)

    likelihood, x = Likelihood(divergence=divergence, t_min=T_MIN), jnp.ones((1, 2))
    result = jax.jit(lambda keys, x: likelihood(keys, score, sde, x))(keys(key, 1), x)
    jax.effects_barrier()
    np.testing.assert_array_equal(result.nfe, [len(calls)])


@pytest.mark.slow(
    "tests/sampling/test_probability_flow.py::test_a_sample_and_its_cost_do_not_depend_on_the_batch"
)
@pytest.mark.parametrize("name", ["vp", "ve"])
def test_an_example_does_not_depend_on_its_batch(name, key):
    """With a wild neighbour, whose own solve takes more steps."""
    sde = SDES[name]
    score = MixtureScore(plane_mixture(), sde)
    run = jax.jit(lambda keys, x: Likelihood()(keys, score, sde, x))
    x = jnp.asarray([[0.1, 0.2], [30.0, -40.0], [0.5, -0.1]])
    together, alone = run(keys(key, 3), x), run(keys(key, 3)[:1], x[:1])
    np.testing.assert_allclose(alone.nats[0], together.nats[0], rtol=1e-4, atol=1e-4)
    assert abs(int(alone.nfe[0]) - int(together.nfe[0])) <= 12


@pytest.mark.slow(
    "tests/sampling/test_probability_flow.py::test_a_failed_solve_is_reported_for_its_sample_only"
)
def test_a_solve_that_gives_up_is_reported_for_its_example_only(key):
    sde = SDES["vp"]

    def score(x, t):
        return jnp.where(x > 100, jnp.nan, gaussian().score(sde, x, t))

    x = jnp.asarray([[0.5], [1000.0], [0.7]])
    result = jax.jit(lambda keys, x: Likelihood()(keys, score, sde, x))(keys(key, 3), x)
    np.testing.assert_array_equal(result.converged, [True, False, True])
    exact = gaussian().log_density(sde, x[::2], jnp.asarray(1e-5))
    np.testing.assert_allclose(result.nats[::2], exact, atol=1e-2)


@pytest.mark.slow(
    "tests/sampling/test_probability_flow.py::test_a_failed_solve_is_reported_for_its_sample_only"
)
def test_a_step_limit_is_reported(key):
    likelihood = Likelihood(solver=AdaptiveSolver(max_steps=3))
    result = evaluate(likelihood, gaussian(), SDES["vp"], jnp.ones((2, 1)), key)
    np.testing.assert_array_equal(result.converged, [False, False])


def test_bits_per_dimension_by_hand():
    """8-bit images in [-1, 1]: 7 bits less the log2 of the density per dimension."""
    nats = jnp.asarray([-100.0, 50.0])
    log_det = np.log(2 / 256)
    expected = 7 - np.array([-100.0, 50.0]) / 48 / np.log(2)
    np.testing.assert_allclose(bits_per_dimension(nats, 48, log_det), expected, rtol=1e-6)
    # a uniform density on [-1, 1]^D is log2(L) bits, whatever L
    uniform = -48 * np.log(2.0)
    assert bits_per_dimension(uniform, 48, log_det) == pytest.approx(8.0)
    assert bits_per_dimension(uniform, 48, np.log(2 / 17)) == pytest.approx(np.log2(17))


class Dense(nn.Module):
    """A convolution and a dense layer, of the default precision."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        h = nn.silu(nn.Conv(4, (3, 3))(x) + nn.Dense(4)(time[:, None])[:, None, None])
        return nn.Conv(x.shape[-1], (3, 3))(h)


@pytest.mark.parametrize("what", ["likelihood", "flow"])
def test_every_product_runs_at_the_highest_precision(what, key):
    model = ScoreModel(network=Dense(), sde=SDES["vp"])
    score = NetworkScore(jax.eval_shape(lambda: model.init(key, (4, 4, 1))), model)

    def run(score, keys, x):
        if what == "likelihood":
            return Likelihood()(keys, score, model.sde, x)
        return ProbabilityFlow(denoise=False)(keys, score, model.sde, (4, 4, 1))

    lowered = jax.jit(run).lower(score, keys(key, 2), jnp.zeros((2, 4, 4, 1))).as_text()
    products = [
        line
        for line in lowered.splitlines()
        if "stablehlo.dot_general" in line or "stablehlo.convolution" in line
    ]
    assert any("stablehlo.convolution" in line for line in products)
    assert [line for line in products if "HIGHEST" not in line] == []


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"^`probes` must be at least 1: got probes=0\.$"):
        Hutchinson(probes=0)
    with pytest.raises(ValueError, match=r"^`t_min` must be in \[0, 1\): got t_min=1\.0\.$"):
        Likelihood(t_min=1.0)


@pytest.mark.parametrize("name", ["vp", pytest.param("subvp", marks=pytest.mark.slow)])
def test_noise_that_grows_from_nothing_is_not_stepped_over(name, key):
    """Half of the dimensions hardly vary, as the border of digits: at t_min they are all noise."""
    sde, t_min = SDES[name], 1e-5
    variances = jnp.where(jnp.arange(16) < 8, 1e-6, 0.25)
    mixture = GaussianMixture(jnp.ones(1), jnp.full((1, 16), 0.2), variances[None])
    x = noised(mixture, sde, key, 8, jnp.asarray(t_min))
    tolerances = AdaptiveSolver(rtol=1e-3, atol=1e-3)
    likelihood = Likelihood(solver=tolerances, divergence=ExactTrace(), t_min=t_min)
    found = evaluate(likelihood, mixture, sde, x, key)
    alpha, sigma = sde.alpha(jnp.asarray(t_min)), sde.sigma(jnp.asarray(t_min))
    deviations = jnp.sqrt(alpha**2 * variances + sigma**2)
    exact = jax.scipy.stats.norm.logpdf(x, 0.2 * alpha, deviations[None]).sum(axis=1)
    np.testing.assert_allclose(found.nats / 16, exact / 16, atol=5e-3)
    assert found.nfe.max() < 110
