"""The adaptive solver, on equations whose solutions are known."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from sde_jax.ode import AdaptiveSolver, Method


def decay(t, y):
    return jax.tree.map(lambda leaf: -3.0 * leaf, y)


def compiled(solver, field):
    return jax.jit(lambda y0, t0, t1: solver.solve(field, y0, t0, t1))


def test_an_exponential_forwards_and_backwards():
    y0, solve = (jnp.asarray([1.0, -2.0]), jnp.asarray(5.0)), compiled(AdaptiveSolver(), decay)
    for t0, t1 in [(0.0, 1.0), (1.0, 0.0)]:
        solution = solve(y0, t0, t1)
        factor = np.exp(-3.0 * (t1 - t0))
        np.testing.assert_allclose(solution.y[0], factor * y0[0], rtol=1e-4)
        np.testing.assert_allclose(solution.y[1], factor * 5.0, rtol=1e-4)
        assert solution.converged


def test_the_error_follows_the_tolerance():
    with jax.enable_x64(True):
        errors = []
        for tolerance in (1e-4, 1e-10):
            solver = AdaptiveSolver(rtol=tolerance, atol=tolerance)
            y = compiled(solver, lambda t, y: y * jnp.cos(7 * t))(jnp.ones(1), 0.0, 2.0).y
            errors.append(abs(float(y[0]) - np.exp(np.sin(14.0) / 7)))
        assert np.all(np.array(errors) < 10 * np.array([1e-4, 1e-10])), errors
        assert np.all(np.diff(np.log10(errors)) < -3), errors


def test_a_number_beside_an_image_is_not_averaged_away():
    """The leaf that moves is one number in 4097; a common root mean square would let it drift."""

    def field(t, y):
        return jnp.zeros_like(y[0]), y[1] * jnp.cos(7 * t)

    y0 = (jnp.zeros(4096), jnp.ones(1))
    solver = AdaptiveSolver(rtol=1e-4, atol=1e-4)
    y = compiled(solver, field)(y0, 0.0, 2.0).y
    alone = compiled(solver, lambda t, y: field(t, (y0[0], y))[1])(y0[1], 0.0, 2.0)
    np.testing.assert_allclose(y[1], alone.y, rtol=1e-6)


def test_solving_through_times_passes_the_exact_states():
    times = jnp.asarray([1.0, 0.8, 0.5, 0.1])
    solver = AdaptiveSolver()
    y0, solve = jnp.asarray([2.0]), compiled(solver, decay)
    solution = jax.jit(lambda y0, times: solver.solve_through(decay, y0, times))(y0, times)
    np.testing.assert_allclose(solution.y[:, 0], 2 * np.exp(-3 * (times - 1)), rtol=1e-4)
    nfe, state = 0, y0
    for t0, t1 in zip(times, times[1:], strict=False):
        leg = solve(state, t0, t1)
        nfe, state = nfe + int(leg.nfe), leg.y
    assert solution.nfe == nfe
    assert solution.converged


@pytest.mark.parametrize(
    ("field", "solver"),
    [
        (decay, AdaptiveSolver(max_steps=2)),
        (lambda t, y: y**2, AdaptiveSolver(max_steps=64)),
        pytest.param(
            lambda t, y: y * jnp.nan, AdaptiveSolver(max_steps=64), marks=pytest.mark.slow
        ),
    ],
    ids=["too few steps", "blows up at t = .5", "not a number"],
)
def test_a_failed_solve_is_reported_and_only_for_its_own_example(field, solver):
    y0 = jnp.asarray([[2.0], [0.0]])

    def field_of_one(t, y):
        return jnp.where(y == 0, 0.0, field(t, y))

    solution = jax.jit(jax.vmap(lambda y: solver.solve(field_of_one, y, 0.0, 1.0)))(y0)
    still = solver.max_steps > 2
    np.testing.assert_array_equal(solution.converged, [False, still])


def test_a_field_that_is_not_finite_is_given_up_soon():
    def field(t, y):
        return jnp.where(t > 0.5, jnp.nan, -y)

    solution = compiled(AdaptiveSolver(), field)(jnp.ones(2), 0.0, 1.0)
    assert not solution.converged
    assert solution.nfe < 600


@pytest.mark.parametrize("method", get_args(Method))
def test_each_pair_solves_and_counts_its_calls(method):
    calls = []

    def field(t, y):
        jax.debug.callback(lambda: calls.append(None))
        return -y

    solver = AdaptiveSolver(rtol=1e-6, atol=1e-6, method=method)
    solution = compiled(solver, field)(jnp.ones(2), 0.0, 1.0)
    jax.effects_barrier()
    np.testing.assert_allclose(solution.y, np.exp(-1), rtol=2e-5)
    assert solution.nfe == len(calls)


def test_steps_are_those_of_scipy():
    """Bogacki-Shampine with the same first step: as many evaluations, and the same end."""
    rate, tolerance = 7.0, 1e-5
    scipys = scipy.integrate.solve_ivp(
        lambda t, y: rate * y * np.cos(rate * t),
        (0.0, 2.0),
        [1.0, -2.0],
        method="RK23",
        first_step=0.01,
        rtol=tolerance,
        atol=tolerance,
    )
    with jax.enable_x64(True):
        solver = AdaptiveSolver(rtol=tolerance, atol=tolerance, method="bosh3")
        solve = compiled(solver, lambda t, y: rate * y * jnp.cos(rate * t))
        solution = solve(jnp.asarray([1.0, -2.0]), 0.0, 2.0)
    assert np.asarray(solution.nfe) == scipys.nfev
    np.testing.assert_allclose(np.asarray(solution.y), scipys.y[:, -1], rtol=1e-9)


def test_an_unknown_pair_is_refused():
    with pytest.raises(ValueError, match="^`method` must be one of bosh3, .*: got method='rk4'"):
        AdaptiveSolver(method="rk4")


@pytest.mark.parametrize(
    ("field", "rule"), [("rtol", "positive"), ("atol", "positive"), ("max_steps", "at least 1")]
)
def test_wrong_settings_are_refused(field, rule):
    with pytest.raises(ValueError, match=f"^`{field}` must be {rule}: got {field}=0\\.$"):
        AdaptiveSolver(**{field: 0})
