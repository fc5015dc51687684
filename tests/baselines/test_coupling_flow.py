"""Coupling flows against quadrature, Jacobians, the standard normal and a known entropy."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import keys
from jax.sharding import NamedSharding, PartitionSpec
from scipy.stats import multivariate_normal, norm

from sde_jax.arrays import strided_parts
from sde_jax.baselines.coupling_flow import CouplingFlow, CouplingFlowSpec
from sde_jax.data import Batch
from sde_jax.randomness import example_seeds
from sde_jax.training import data_mesh, gradient_learner

MEAN = np.array([0.7, -0.3])
COVARIANCE = np.array([[0.20, 0.12], [0.12, 0.10]])


def model(**fields):
    small = {"width": 4, "depth": 1, "couplings": 2, "scales": 1, "logit_margin": None}
    return CouplingFlow(flow=CouplingFlowSpec(**(small | fields)).build())


CASES = {
    "points": (model(couplings=3, depth=2), (3,)),
    "line": (model(), (1,)),
    "one scale": (model(), (3, 5, 1)),
    "three scales": (model(scales=3), (4, 4, 1)),
    "colours and logit": (model(scales=2, logit_margin=0.05), (4, 4, 3)),
}
each_case = pytest.mark.parametrize(
    "model, shape",
    [
        pytest.param(*case, marks=pytest.mark.slow if name == "three scales" else ())
        for name, case in CASES.items()
    ],
    ids=CASES.keys(),
)


def noisy(params, key, size):
    """Parameters of which none is zero."""
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    return jax.tree.map(lambda leaf: leaf + random.normal(0, size, leaf.shape).astype("f"), params)


def some_params(model, key, shape, size=0.3):
    return noisy(jax.jit(model.init, static_argnums=1)(key, shape), key, size)


@functools.cache
def directions(model):
    """Both, of parameters and examples, compiled once for all tests."""

    def apply(method):
        return jax.jit(lambda params, x: model.flow.apply({"params": params}, x, method=method))

    return apply("forward"), apply("inverse")


def some_data(key, shape):
    """Data in about the range of images, or points as wide."""
    return jax.random.uniform(key, (4, *shape), minval=-0.95, maxval=0.95)


@pytest.mark.parametrize(
    "model, shape",
    [
        pytest.param(*case, marks=pytest.mark.slow if case[0].flow.spec.scales > 1 else ())
        for case in CASES.values()
    ],
    ids=CASES.keys(),
)
def test_the_log_determinant_is_that_of_the_jacobian(key, model, shape):
    params, x = some_params(model, key, shape), some_data(key, shape)

    def forward(x):
        z, log_det = model.flow.apply({"params": params}, x[None], method="forward")
        return z[0], log_det[0]

    jacobians, log_det = jax.jit(jax.vmap(jax.jacfwd(forward, has_aux=True)))(x)
    dimensions = math.prod(shape)
    matrices = np.asarray(jacobians, np.float64).reshape(4, dimensions, dimensions)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrices)[1], rtol=1e-5, atol=1e-4)
    assert np.abs(log_det).min() > 1e-3


@each_case
def test_round_trips(key, model, shape):
    """A logit needs smaller latents, as float32 ends at about 1 - 1e-7."""
    size = 0.3 if model.flow.spec.logit_margin is None else 0.1
    params, (forward, inverse) = some_params(model, key, shape, size), directions(model)
    x, z = some_data(key, shape), jax.random.normal(key, (4, *shape))
    latents = forward(params, x)[0]
    assert latents.shape == x.shape
    assert (latents != x).all()
    assert np.abs(latents - x).max() > 0.1
    np.testing.assert_allclose(inverse(params, latents), x, atol=1e-4)
    np.testing.assert_allclose(forward(params, inverse(params, z))[0], z, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "changed", "rows"),
    [
        ("colours and logit", ("pixels_1",), [True, False, True, False]),
        pytest.param(
            "three scales", ("pixels_2",), [True, False, False, False], marks=pytest.mark.slow
        ),
        pytest.param(
            "three scales",
            ("channels_1", "pixels_1"),
            [True, False, True, False],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_latents_factored_out_are_lower_rows_and_see_no_later_scale(key, name, changed, rows):
    flow, shape = CASES[name]
    params, x = some_params(flow, key, shape), some_data(key, shape)
    later = {name: params[name] for name in params if name.startswith(changed)}
    assert len(later) == 2 * len(changed)
    forward, _ = directions(flow)
    z, z_changed = (forward(p, x)[0] for p in (params, params | noisy(later, key, 0.3)))
    difference = np.abs(z - z_changed)
    assert difference[:, rows].max() > 1e-2
    np.testing.assert_array_equal((difference > 0).any(axis=(0, 2, 3)), rows)


@pytest.mark.parametrize(
    "scales, shape", [(1, (3,)), pytest.param(2, (2, 4, 3), marks=pytest.mark.slow)]
)
def test_it_starts_as_the_standard_normal(key, scales, shape):
    flow, x = model(scales=scales), 3 * some_data(key, shape)
    params = flow.init(key, shape)
    likelihoods = jax.jit(flow.log_likelihoods)(params, keys(key, 4), x)
    expected = norm.logpdf(np.asarray(x)).reshape(4, -1).sum(axis=1)
    np.testing.assert_allclose(likelihoods.nats, expected, rtol=1e-6)
    np.testing.assert_array_equal(likelihoods.probe_stderr, 0)
    np.testing.assert_array_equal(likelihoods.nfe, 1)
    assert likelihoods.converged.all()
    samples = jax.jit(flow.sample, static_argnums=2)(params, keys(key, 4), shape)
    noise = [jax.random.normal(k, shape) for k in keys(key, 4)]
    np.testing.assert_allclose(samples.x, np.stack(noise), atol=1e-6)


def log_density_on(flow, params, axes, shape):
    """The log density at the points of a grid, and these."""
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, *shape)
    unused = jax.random.split(jax.random.key(0), 1)
    nats = jax.jit(flow.log_likelihoods)(params, unused, jnp.asarray(points, jnp.float32)).nats
    return np.asarray(nats, np.float64), points


def midpoints(low, high, count):
    return low + (high - low) * (np.arange(count) + 0.5) / count


def test_in_the_plane_it_integrates_to_one(key):
    flow = model(width=8, couplings=4)
    params = some_params(flow, key, (2,))
    axis = midpoints(-12.0, 12.0, 240)
    nats, points = log_density_on(flow, params, (axis, axis), (2,))
    density = np.exp(nats)
    total = density.sum() * (24 / 240) ** 2
    np.testing.assert_allclose(total, 1, atol=1e-3)
    # Far from the start, at which it is the standard normal's.
    start = np.exp(norm.logpdf(points).sum(axis=1))
    assert np.abs(density - start).sum() * (24 / 240) ** 2 > 0.2


@pytest.mark.parametrize("shape, counts", [((1, 1, 1), (20000,)), ((2, 1, 1), (400, 400))])
def test_images_integrate_to_one_over_all_that_logits_stand_for(key, shape, counts):
    flow, end = model(logit_margin=0.05), 1 / 0.9
    axes = [midpoints(-end, end, count) for count in counts]
    nats, _ = log_density_on(flow, some_params(flow, key, shape), axes, shape)
    volume = math.prod(2 * end / count for count in counts)
    np.testing.assert_allclose(np.exp(nats).sum() * volume, 1, atol=1e-3)


def test_of_a_fresh_pixel_so_much_lies_between_black_and_white(key):
    """The logit of a standard normal pixel lies within those of 0.05 and 0.95."""
    flow, shape = model(logit_margin=0.05), (1, 1, 1)
    nats, _ = log_density_on(flow, flow.init(key, shape), [midpoints(-1, 1, 20000)], shape)
    expected = 2 * norm.cdf(np.log(0.95 / 0.05)) - 1
    np.testing.assert_allclose(np.exp(nats).sum() * 2 / 20000, expected, atol=1e-5)


def trained(flow, shape, draw, steps, learning_rate):
    """Parameters after that many steps of Adam, as the training loop makes them."""

    def losses(params, seeds, batch, **options):
        return flow.losses(params, seeds, batch.x, **options)

    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    learner = gradient_learner(lambda key: flow.init(key, shape), losses, optimizer, ema_decay=0.9)

    @jax.jit
    def run(state, key):
        def step(state, key):
            return learner.update(state, key, Batch(draw(key), None))

        return jax.lax.scan(step, state, jax.random.split(key, steps))

    state, metrics = run(jax.jit(learner.init)(jax.random.key(1)), jax.random.key(2))
    return state.params, np.asarray(metrics["loss"])


@pytest.fixture(scope="module")
def plane():
    """A flow trained on a correlated, lopsided Gaussian in the plane."""
    factor = jnp.asarray(np.linalg.cholesky(COVARIANCE), jnp.float32)

    def draw(key):
        noise = jax.random.normal(key, (256, 2))
        return jnp.asarray(MEAN, jnp.float32)[None] + noise @ factor.T

    flow = model(width=16, couplings=4)
    return flow, trained(flow, (2,), draw, 400, 1e-2)[0]


@pytest.mark.slow("test_in_the_plane_it_integrates_to_one")
def test_training_approaches_the_entropy(plane):
    """Expectations under the data by quadrature: the entropy exceeds the loss by 0.01 at most."""
    flow, params = plane
    axes = [midpoints(m - 5, m + 5, 400) for m in MEAN]
    nats, points = log_density_on(flow, params, axes, (2,))
    cell = (10 / 400) ** 2
    truth = multivariate_normal(MEAN, COVARIANCE)
    weights = truth.pdf(points) * cell
    np.testing.assert_allclose(weights.sum(), 1, atol=1e-6)
    np.testing.assert_allclose(np.exp(nats).sum() * cell, 1, atol=1e-3)
    excess = weights @ -nats - truth.entropy()
    print(f"excess {excess:.5f} of entropy {truth.entropy():.5f}")
    assert -1e-3 <= excess < 0.01


@pytest.mark.slow("test_round_trips")
def test_samples_have_the_moments_of_the_data(plane):
    """Within 5 standard errors of 20000 samples and a model error of 0.02 deviations."""
    flow, params = plane
    count = 20000
    samples = jax.jit(flow.sample, static_argnums=2)(params, keys(jax.random.key(5), count), (2,))
    assert samples.converged.all()
    np.testing.assert_array_equal(samples.nfe, 1)
    x = np.asarray(samples.x, np.float64)
    variances = np.diag(COVARIANCE)
    mean_errors = (x.mean(axis=0) - MEAN) / np.sqrt(variances)
    print("mean errors in deviations", mean_errors)
    assert np.abs(mean_errors).max() < 5 / math.sqrt(count) + 0.02
    products = np.outer(variances, variances)
    # A product of two Gaussians has the variance v_i v_j + c_ij^2 (Isserlis).
    stderr = np.sqrt((products + COVARIANCE**2) / count / products)
    errors = (np.cov(x.T) - COVARIANCE) / np.sqrt(products)
    print("covariance errors", errors.ravel(), "stderr", stderr.ravel())
    assert (np.abs(errors) < 5 * stderr + 0.04).all()


@pytest.mark.slow("test_round_trips")
def test_round_trips_of_a_trained_flow_in_the_plane(plane):
    flow, params = plane
    forward, inverse = directions(flow)
    z = 3 * jax.random.normal(jax.random.key(3), (1000, 2))
    x = inverse(params, z)
    latents = forward(params, x)[0]
    np.testing.assert_allclose(latents, z, atol=1e-4)
    np.testing.assert_allclose(inverse(params, latents), x, atol=1e-4)


@pytest.mark.slow("test_round_trips")
def test_round_trips_of_a_trained_flow_of_images(key):
    """Dark images, one row of which is as bright as its neighbour."""
    flow, shape = CASES["colours and logit"]

    def draw(key):
        images = jax.random.beta(key, 0.6, 2.0, (16, *shape)) * 2 - 1
        return 0.999 * images.at[:, 1].set(images[:, 0])

    params, losses = trained(flow, shape, draw, 50, 1e-2)
    print("image losses", losses[:5].mean(), losses[-5:].mean())
    assert losses[-5:].mean() < losses[:5].mean() - 0.3
    forward, inverse = directions(flow)
    x, z = draw(key)[:4], jax.random.normal(key, (4, *shape))
    np.testing.assert_allclose(inverse(params, forward(params, x)[0]), x, atol=1e-4)
    np.testing.assert_allclose(forward(params, inverse(params, z))[0], z, atol=1e-4)


def test_losses_are_nats_per_dimension_and_those_of_a_part_are_those_of_the_whole(key):
    flow, shape = model(), (3,)
    params = some_params(flow, key, shape)

    @jax.jit
    def run(params, key):
        given = example_seeds(key, 6), jax.random.normal(key, (6, *shape))
        nats = flow.log_likelihoods(params, keys(key, 6), given[1]).nats
        part = strided_parts(given, 3)[1]
        return flow.losses(params, *given), nats, flow.losses(params, *part)

    whole, nats, part = run(params, key)
    np.testing.assert_allclose(whole, -nats / 3, rtol=1e-5)
    np.testing.assert_allclose(part, whole[1::3], rtol=1e-5)


def test_a_sample_is_that_of_its_key_and_devices_share_a_batch(key):
    flow, shape = model(), (2,)
    params = some_params(flow, key, shape)
    sample = jax.jit(flow.sample, static_argnums=2)
    together = sample(params, keys(key, 8), shape).x
    alone = sample(params, keys(key, 8)[5:6], shape).x
    np.testing.assert_allclose(alone[0], together[5], atol=1e-5)
    spread = jax.device_put(together, NamedSharding(data_mesh(), PartitionSpec("data")))
    losses, seeds = jax.jit(flow.losses), example_seeds(key, 8)
    shared = losses(params, seeds, spread)
    assert len(shared.sharding.device_set) == 8
    np.testing.assert_allclose(shared, losses(params, seeds, together), rtol=1e-5)


def test_what_is_not_finite_has_not_converged(key):
    flow, shape = model(logit_margin=0.05), (2, 1, 1)
    params = flow.init(key, shape)
    x = jnp.asarray([[0.0, 0.5], [0.0, 1.2]]).reshape(2, *shape)
    likelihoods = jax.jit(flow.log_likelihoods)(params, keys(key, 2), x)
    np.testing.assert_array_equal(likelihoods.converged, [True, False])
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, params)
    sample = jax.jit(flow.sample, static_argnums=2)
    assert not sample(broken, keys(key, 2), shape).converged.any()


@pytest.mark.parametrize(
    ("fields", "shape", "complaint"),
    [
        ({}, (4, 4), r"takes points or images .* got examples of shape \(4, 4\)"),
        ({"scales": 2}, (3, 4, 1), "`scales` requires a height and width divisible by 2.*3x4"),
        ({"scales": 3}, (4, 6, 1), "`scales` .* divisible by 4: got images of 4x6"),
        ({"scales": 2}, (2,), "`scales` must be 1 for points: got 2"),
        ({"logit_margin": 0.05}, (2,), r"`logit_margin` must be None for points: got 0\.05"),
    ],
)
def test_what_it_cannot_take(key, fields, shape, complaint):
    with pytest.raises(ValueError, match=complaint):
        model(**fields).init(key, shape)
    with pytest.raises(ValueError, match=complaint):
        model(**fields).sample({}, keys(key, 2), shape)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"width": 6}, "`width` must be a multiple of 4.*got .*6"),
        ({"width": 0}, "`width` must be a multiple of 4.*got .*0"),
        ({"depth": 0}, "`depth` must be at least 1: got depth=0"),
        ({"couplings": 1}, "`couplings` must be at least 2: got couplings=1"),
        ({"scales": 0}, "`scales` must be at least 1: got scales=0"),
        ({"logit_margin": 0.5}, r"`logit_margin` must lie in \(0, 0.5\).*got .*0.5"),
        ({"logit_margin": 0.0}, r"`logit_margin` must lie in \(0, 0.5\).*got .*0.0"),
    ],
)
def test_fields_out_of_range(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        CouplingFlowSpec(**fields)
