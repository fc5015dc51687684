"""The adaptive solver, on equations whose solutions are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.score import AdaptiveSolver


def decay(t, y):
    return jax.tree.map(lambda leaf: -3.0 * leaf, y)


@pytest.mark.parametrize(("t0", "t1"), [(0.0, 1.0), (1.0, 0.0)])
def test_an_exponential_forwards_and_backwards(t0, t1):
    y0 = (jnp.asarray([1.0, -2.0]), jnp.asarray(5.0))
    solution = AdaptiveSolver().solve(decay, y0, jnp.asarray(t0), jnp.asarray(t1))
    factor = np.exp(-3.0 * (t1 - t0))
    np.testing.assert_allclose(solution.y[0], factor * y0[0], rtol=1e-4)
    np.testing.assert_allclose(solution.y[1], factor * 5.0, rtol=1e-4)
    assert solution.converged


def test_the_error_follows_the_tolerance():
    with jax.enable_x64(True):
        errors = []
        for tolerance in (1e-4, 1e-6, 1e-8, 1e-10):
            solver = AdaptiveSolver(rtol=tolerance, atol=tolerance)
            field = lambda t, y: y * jnp.cos(7 * t)  # noqa: E731
            y = solver.solve(field, jnp.ones(1), jnp.asarray(0.0), jnp.asarray(2.0)).y
            errors.append(abs(float(y[0]) - np.exp(np.sin(14.0) / 7)))
        assert np.all(np.array(errors) < 10 * np.array([1e-4, 1e-6, 1e-8, 1e-10])), errors
        assert np.all(np.diff(np.log(errors)) < 0), errors


def test_a_number_beside_an_image_is_not_averaged_away():
    """The leaf that moves is one number in 4097; a common root mean square would let it drift."""

    def field(t, y):
        return jnp.zeros_like(y[0]), y[1] * jnp.cos(7 * t)

    y0 = (jnp.zeros(4096), jnp.ones(1))
    y = AdaptiveSolver(rtol=1e-4, atol=1e-4).solve(field, y0, jnp.asarray(0.0), jnp.asarray(2.0)).y
    alone = AdaptiveSolver(rtol=1e-4, atol=1e-4).solve(
        lambda t, y: field(t, (y0[0], y))[1], y0[1], jnp.asarray(0.0), jnp.asarray(2.0)
    )
    np.testing.assert_allclose(y[1], alone.y, rtol=1e-6)


def test_solving_through_times_passes_the_exact_states():
    times = jnp.asarray([1.0, 0.8, 0.5, 0.1])
    solver = AdaptiveSolver()
    solution = solver.solve_through(decay, jnp.asarray([2.0]), times)
    np.testing.assert_allclose(solution.y[:, 0], 2 * np.exp(-3 * (times - 1)), rtol=1e-4)
    legs = [solver.solve(decay, jnp.asarray([2.0]), *times[i : i + 2]) for i in range(3)]
    assert solution.nfe == sum(int(leg.nfe) for leg in legs)
    assert solution.converged


@pytest.mark.parametrize(
    ("field", "solver"),
    [
        (decay, AdaptiveSolver(max_steps=2)),
        (lambda t, y: y**2, AdaptiveSolver(max_steps=64)),
        (lambda t, y: y * jnp.nan, AdaptiveSolver(max_steps=64)),
    ],
    ids=["too few steps", "blows up at t = .5", "not a number"],
)
def test_a_failed_solve_is_reported_and_only_for_its_own_example(field, solver):
    y0 = jnp.asarray([[2.0], [0.0]])

    def field_of_one(t, y):
        return jnp.where(y == 0, 0.0, field(t, y))

    solution = jax.vmap(
        lambda y: solver.solve(field_of_one, y, jnp.asarray(0.0), jnp.asarray(1.0))
    )(y0)
    still = solver.max_steps > 2
    np.testing.assert_array_equal(solution.converged, [False, still])


def test_a_field_that_is_not_finite_is_given_up_soon():
    def field(t, y):
        return jnp.where(t > 0.5, jnp.nan, -y)

    solution = AdaptiveSolver().solve(field, jnp.ones(2), jnp.asarray(0.0), jnp.asarray(1.0))
    assert not solution.converged
    assert solution.nfe < 600


@pytest.mark.parametrize("field", ["rtol", "atol", "max_steps"])
def test_wrong_settings_are_refused(field):
    with pytest.raises(ValueError, match=f"^`{field}` must be positive: got {field}=0\\.$"):
        AdaptiveSolver(**{field: 0})
