"""Latents of the flow: great circles, and the exact flow of a Gaussian."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES, keys, line_mixture

from sde_jax.ode import AdaptiveSolver, FlowSolution
from sde_jax.sampling import ProbabilityFlow, interpolate, reconstruction_error, spherical, tempered
from sde_jax.score import GaussianMixture, MixtureScore, gaussian_flow

# In 400 decodes at a tolerance of 1e-6 the largest error was 4.5e-4, at 1e-5 it was 3.4e-3.
FLOW = ProbabilityFlow(t_min=1e-3, solver=AdaptiveSolver(rtol=1e-6, atol=1e-6))
START, END = jnp.asarray(1.0), jnp.asarray(1e-3)


circle = jax.jit(spherical)


def plane_gaussian():
    covariance = jnp.asarray([[[0.20, 0.12], [0.12, 0.10]]])
    return GaussianMixture.from_covariances(jnp.ones(1), jnp.asarray([[0.7, -0.2]]), covariance)


def angle(x, y):
    """Between rows, in float64."""
    x, y = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (x, y))
    x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))
    return np.arctan2(np.linalg.norm(np.cross(x, y), axis=1), (x * y).sum(axis=1))


def norm(x):
    return np.linalg.norm(np.asarray(x).reshape(len(x), -1), axis=1)


def test_a_great_circle_is_run_through_evenly(key):
    """Angles and norms are linear in the weight, one for each example."""
    first, second = jax.random.normal(key, (2, 5, 3)) * jnp.asarray([1.0, 3.0])[:, None, None]
    whole = angle(first, second)
    for weight in (0.0, 0.1, 0.5, 0.9, 1.0):
        between = circle(first, second, weight)
        np.testing.assert_allclose(angle(first, between), weight * whole, atol=3e-7)
        np.testing.assert_allclose(angle(between, second), (1 - weight) * whole, atol=3e-7)
        expected = (1 - weight) * norm(first) + weight * norm(second)
        np.testing.assert_allclose(norm(between), expected, rtol=1e-6)
    weights = jnp.asarray([0.0, 0.2, 0.4, 0.7, 1.0])
    each = circle(first, second, weights)
    np.testing.assert_allclose(angle(first, each), weights * whole, atol=3e-7)


def test_both_ends_are_exact(key):
    first, second = jax.random.normal(key, (2, 4, 2, 2, 5))
    np.testing.assert_array_equal(circle(first, second, 0.0), first)
    np.testing.assert_array_equal(circle(first, second, 1.0), second)


def test_a_quarter_of_a_right_angle():
    between = circle(jnp.asarray([[1.0, 0.0]]), jnp.asarray([[0.0, 1.0]]), 0.25)
    np.testing.assert_allclose(between, [[np.cos(np.pi / 8), np.sin(np.pi / 8)]], rtol=1e-6)


@pytest.mark.parametrize("factor", [2.0, -3.0, -1.0, 1.0, 0.0])
def test_between_parallel_vectors_the_line_is_straight(factor, key):
    first = jax.random.normal(key, (3, 50))
    first = np.asarray(first)
    between = circle(first, np.float32(factor) * first, 0.3)
    np.testing.assert_allclose(between, (0.7 + 0.3 * factor) * first, rtol=1e-5, atol=1e-6)
    back = circle(np.float32(factor) * first, first, 0.7)
    np.testing.assert_allclose(back, between, rtol=1e-5, atol=1e-6)


def test_small_angles_are_not_lost():
    first, second = jnp.asarray([[1.0, 0.0]]), jnp.asarray([[1.0, 1e-5]])
    np.testing.assert_allclose(circle(first, second, 0.3), [[1.0, 3e-6]], rtol=1e-4)


def test_noise_between_noise_is_as_long(key):
    """On the straight line its norm would be .71 in the middle."""
    first, second = jax.random.normal(key, (2, 6, 4096))
    middle = circle(first, second, 0.5)
    np.testing.assert_allclose(norm(middle), 64, rtol=0.05)


@pytest.mark.slow("test_costs_are_those_of_all_solves_and_each_failure_is_known")
def test_interpolation_is_spherical_between_the_exact_latents(key):
    """One image is none, which its pair alone shows."""
    sde, data = SDES["ve"], plane_gaussian()
    first, second = data.sample(key, 8).reshape(2, 4, 2)
    weights = jnp.asarray([0.0, 0.3, 1.0])
    score = MixtureScore(data, sde)
    found = jax.jit(lambda *x: interpolate(FLOW, score, sde, *x, weights))(
        first, second.at[1].set(jnp.nan)
    )
    flow = jax.jit(gaussian_flow, static_argnums=1)
    ends = [flow(data, sde, x, END, START) for x in (first, second)]
    expected = [flow(data, sde, circle(*ends, w), START, END) for w in weights]
    whole = np.asarray([0, 2, 3])
    images = np.asarray(found.images)[:, whole]
    np.testing.assert_allclose(images, jnp.stack(expected)[:, whole], atol=1e-3)
    np.testing.assert_allclose(images[0], first[whole], atol=1e-3)
    np.testing.assert_allclose(images[2], second[whole], atol=1e-3)
    np.testing.assert_array_equal(found.converged, [[True, False, True, True]] * 3)


@dataclasses.dataclass(frozen=True)
class Shifting:
    """A flow that adds 1 on the way up and 1.5 on the way down, at known costs."""

    def encode(self, score, sde, x):
        return FlowSolution(x + 1, jnp.full(len(x), 7), x[:, 0] < 5)

    def decode(self, score, sde, latents):
        moved = latents + jnp.asarray([[1.5, -2.5]])
        return FlowSolution(moved, jnp.full(len(latents), 100), latents[:, 0] > 0)


def test_costs_are_those_of_all_solves_and_each_failure_is_known():
    x = jnp.asarray([[0.0, 0.0], [9.0, 1.0], [-3.0, 2.0]])
    ends, weights = (x, x + jnp.asarray([[0.0, 2.0]])), jnp.asarray([0.2, 0.6])
    found = interpolate(Shifting(), None, None, *ends, weights)
    for weight, images in zip(weights, found.images, strict=True):
        between = circle(*(end + 1 for end in ends), weight)
        np.testing.assert_allclose(images, between + np.float32([[1.5, -2.5]]), rtol=1e-5)
    np.testing.assert_array_equal(found.nfe, [214] * 3)
    np.testing.assert_array_equal(found.converged, [[True, False, False]] * 2)
    once = reconstruction_error(Shifting(), None, None, x)
    np.testing.assert_array_equal(once.nfe, [107] * 3)
    np.testing.assert_array_equal(once.converged, [True, False, False])
    # Off by 2.5 and -1.5.
    np.testing.assert_allclose(once.error, [((2.5**2 + 1.5**2) / 2) ** 0.5] * 3, rtol=1e-6)


@pytest.mark.parametrize("denoise", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_tempered_samples_of_a_gaussian(denoise, key):
    """The flow of a Gaussian is affine: samples lie ``temperature`` times as far from the mode."""
    sde, data, flow = SDES["vp"], plane_gaussian(), dataclasses.replace(FLOW, denoise=denoise)
    score = MixtureScore(data, sde)
    draw = jax.jit(lambda t: tempered(flow, score, sde, keys(key, 6), (2,), t).x)
    mode, cool, plain = (draw(jnp.asarray(t)) for t in (0.0, 0.6, 1.0))
    expected = jax.jit(gaussian_flow, static_argnums=1)(data, sde, jnp.zeros((6, 2)), START, END)
    if denoise:
        expected = jax.jit(data.denoised, static_argnums=0)(sde, expected, END)
    np.testing.assert_allclose(mode, expected, atol=1e-3)
    np.testing.assert_allclose(cool - mode, 0.6 * (plain - mode), atol=1e-3)


@pytest.mark.slow("test_tempered_samples_of_a_gaussian")
def test_at_temperature_one_they_are_the_flows_samples(key):
    sde, flow = SDES["subvp"], ProbabilityFlow(frames=2)
    score, each = MixtureScore(line_mixture(), sde), keys(key, 5)
    plain = jax.jit(lambda: flow(each, score, sde, (1,)))()
    warm = jax.jit(lambda: tempered(flow, score, sde, each, (1,), 1.0))()
    jax.tree.map(np.testing.assert_array_equal, warm, plain)


@pytest.mark.slow("test_costs_are_those_of_all_solves_and_each_failure_is_known")
def test_the_reconstruction_error_falls_with_the_tolerance(key):
    sde, score = SDES["vp"], MixtureScore(line_mixture(), SDES["vp"])
    x = line_mixture().sample(key, 6).reshape(6, 1)
    with jax.enable_x64(True):
        errors, costs = [], []
        for tolerance in (1e-3, 1e-6):
            solver = AdaptiveSolver(rtol=tolerance, atol=tolerance)
            flow = ProbabilityFlow(t_min=1e-3, solver=solver)
            found = jax.jit(lambda x, flow=flow: reconstruction_error(flow, score, sde, x))(
                jnp.asarray(np.float64(x))
            )
            errors.append(float(found.error.max()))
            costs.append(int(found.nfe.sum()))
    assert (np.array(errors) < 30 * np.array([1e-3, 1e-6])).all(), errors
    assert (np.diff(np.log10(errors)) < -1.5).all(), errors
    assert (np.diff(costs) > 0).all(), costs
